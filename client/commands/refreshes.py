"""``autoloader refresh``: begin the table anew."""

from enum import StrEnum
from typing import Annotated

import typer

from client.answers import Refresh
from client.rest import DEFAULT_API_URL
from client.terminal import BAD_NEWS, Api, Json, Which, Yes, connected, found, print_json, say


class Mode(StrEnum):
    """What is loaded again."""

    FULL = "full"
    NEW_ONLY = "new-only"


def refresh(
    ingestion: Which,
    mode: Annotated[Mode, typer.Option(help="Every file again, or only files that were never loaded.")] = Mode.FULL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    auto_run: Annotated[bool, typer.Option(help="Run the ingestion as soon as the new table is there.")] = True,
    yes: Yes = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Begin the table anew. The old one is kept under another name.

    Exit code 1: not all of it is known to be done.
    """
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        if not (dry_run or yes):
            table = client.ingestion(ingestion_id).destination.identifier
            typer.confirm(f"Readers of {table} see an empty table until the files are loaded. Go on?", abort=True)
        told = client.refresh(ingestion_id, full=mode is Mode.FULL, dry_run=dry_run, auto_run=auto_run)
        print_json(told) if as_json else print_refresh(told)
        if told.status == "partial_failure":
            raise typer.Exit(BAD_NEWS)


def print_refresh(told: Refresh) -> None:
    """For people: what is done or would be, what it costs, what to know."""
    say(told.message)
    for done in told.operations:
        say(f"  {done.status}: {done.operation} ({done.error or done.details})")
    for planned in told.would_perform:
        say(f"  would do: {planned.operation} ({planned.details})")
    if told.impact.files_to_process is not None:
        say(f"{told.impact.files_to_process:,} files to load, {told.impact.files_skipped or 0:,} skipped")
    for note in (*told.warnings, *told.notes):
        say(f"note: {note}")
    if told.run_id is not None:
        say(f"run: {told.run_id}")
