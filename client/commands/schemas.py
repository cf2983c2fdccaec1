"""``autoloader schema``, and what somebody decides of columns: the table's, how they came to be, and which may come."""

from typing import Annotated

import typer

from client.answers import ColumnChange, Schema, SchemaVersion
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found, print_json, print_rows, say

Columns = Annotated[
    list[str] | None, typer.Argument(help="Paths such as meta.ts; without any, all that wait.", metavar="[COLUMN]...")
]


def schema(
    ingestion: Which,
    history: Annotated[bool, typer.Option("--history", help="Show how they came to be, newest first.")] = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Show the columns of an ingestion's table."""
    with connected(api) as client:
        which = found(client, ingestion)
        if history:
            versions = client.schema_versions(which)
            if as_json:
                print_json(versions)
            else:
                _tell(versions)
            return
        shown = client.schema(which)
        if as_json:
            print_json(shown)
            return
        _show(shown)


def approve_columns(
    ingestion: Which, columns: Columns = None, api: Api = DEFAULT_API_URL, as_json: Json = False
) -> None:
    """Let new fields become columns: these, or all that wait."""
    _decide(ingestion, columns, api, approve=True, as_json=as_json)


def reject_columns(
    ingestion: Which, columns: Columns = None, api: Api = DEFAULT_API_URL, as_json: Json = False
) -> None:
    """Keep fields from becoming columns: these, or all that wait. A column that is there stays, and is not filled."""
    _decide(ingestion, columns, api, approve=False, as_json=as_json)


def roll_back_schema(
    ingestion: Which,
    version: Annotated[int, typer.Argument(help="One that autoloader schema --history shows.", metavar="VERSION")],
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Fill the columns of an earlier version alone, from the next batch on. Nothing in the table changes."""
    with connected(api) as client:
        shown = client.roll_back_schema(found(client, ingestion), version)
    if as_json:
        print_json(shown)
        return
    _show(shown)
    for change in shown.kept:
        say(f"stays as it is: {_what(change)}")


def _decide(ingestion: str, columns: list[str] | None, api: str, *, approve: bool, as_json: bool) -> None:
    with connected(api) as client:
        shown = client.decide_columns(found(client, ingestion), columns or None, approve=approve)
    if as_json:
        print_json(shown)
    else:
        _show(shown)
        say("the next run loads the files that waited")


def _show(shown: Schema) -> None:
    rejected = set(shown.rejected)
    rows = [(c.name, c.type, "rejected: not filled" if c.name in rejected else "") for c in shown.columns]
    rows += [(h.column, h.type, f"waits for a decision: {h.example or '?'} in {h.file or '?'}") for h in shown.held]
    print_rows(("column", "type", ""), rows, nothing="nothing is loaded yet: the first run makes the table")
    if others := sorted(rejected - {c.name for c in shown.columns}):
        say(f"rejected: {', '.join(others)}")
    say(f"version {shown.version or 0}; schema_evolution_mode is {shown.mode}")


def _tell(versions: list[SchemaVersion]) -> None:
    rows = [
        (version.version, f"{version.created_at:%Y-%m-%d %H:%M}", _what(change), change.file, change.example)
        for version in versions
        for change in version.changes
    ]
    print_rows(("version", "when", "change", "file", "example"), rows, nothing="nothing is loaded yet")


def _what(change: ColumnChange) -> str:
    match change.kind:
        case "added":
            return f"{change.column} {change.type} is new"
        case "dropped":
            return f"{change.column} {change.before} is gone"
        case _:
            return f"{change.column} was {change.before}, and is {change.type}"
