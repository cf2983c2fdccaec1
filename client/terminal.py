"""What all commands share: their options, how answers are printed, and how trouble becomes one line and an exit code.

Exit codes: 0, done as asked; 1, the answer is bad news (a run that did not succeed, an audit that found something); 2,
the command could not do its work; 130, interrupted.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from client.answers import Ingestion
from client.rest import AutoloaderClient
from libs.common.errors import AutoloaderError, Permanent

_PIPE_WIDTH = 250
BAD_NEWS, TROUBLE, INTERRUPTED = 1, 2, 130

Api = Annotated[str, typer.Option(help="The API's address.", envvar="AUTOLOADER_API_URL")]
Json = Annotated[bool, typer.Option("--json", help="Print the API's answer as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Which = Annotated[str, typer.Argument(help="The ingestion's id, or its name.", metavar="INGESTION")]
WhichRun = Annotated[UUID, typer.Argument(help="The run's id.", metavar="RUN")]


@contextmanager
def trouble_told() -> Iterator[None]:
    """Trouble becomes one line on stderr, with the remedy, and exit code 2."""
    try:
        yield
    except AutoloaderError as e:
        hint = f". {e.hint}" if e.hint and e.hint not in str(e) else ""
        sys.stderr.write(f"{str(e).rstrip('.')}{hint}\n")
        raise typer.Exit(TROUBLE) from e
    except KeyboardInterrupt:
        sys.stderr.write("stopped waiting; what was asked for goes on\n")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def connected(api: str) -> Iterator[AutoloaderClient]:
    """A client of the API at this address; its trouble is told."""
    with trouble_told(), AutoloaderClient(api) as client:
        yield client


def found(client: AutoloaderClient, which: str) -> UUID:
    """The id of an ingestion that somebody named.

    Raises:
        Permanent: no ingestion has this name, or several have.
    """
    try:
        return UUID(which)
    except ValueError:
        named: list[Ingestion] = [each for each in client.ingestions() if each.name == which]
    if len(named) == 1:
        return named[0].id
    if not named:
        raise Permanent(
            f"no ingestion is named {which!r}", code="unknown_ingestion", hint="`autoloader ingestion list` shows them"
        )
    ids = ", ".join(str(each.id) for each in named)
    raise Permanent(f"{len(named)} ingestions are named {which!r}", code="ambiguous_name", hint=f"say which: {ids}")


def print_json(answer: BaseModel | Sequence[BaseModel]) -> None:
    """As the API said it, for programs."""
    shown: Any = (
        answer.model_dump(mode="json") if isinstance(answer, BaseModel) else [a.model_dump(mode="json") for a in answer]
    )
    sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]], *, nothing: str) -> None:
    """A table for people; where there is no row, a sentence."""
    if not rows:
        say(nothing)
        return
    table = Table()
    for column in columns:
        table.add_column(_cell(column), overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    # A pipe has no width of its own, and what is read by a program must not be cut.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def say(words: str) -> None:
    """One line for people. Never read as markup: names may hold brackets."""
    Console().print(words, markup=False, highlight=False, soft_wrap=True)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return str(value).replace("[", "\\[")
