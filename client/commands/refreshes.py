"""``autoloader refresh``: begin the table anew; and what was done so far, and the way back."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from client.answers import Refresh
from client.rest import DEFAULT_API_URL, AutoloaderClient
from client.terminal import BAD_NEWS, Api, Json, Which, Yes, connected, found, print_json, print_rows, say
from libs.common.errors import Permanent


class Mode(StrEnum):
    """What is loaded again."""

    FULL = "full"
    NEW_ONLY = "new-only"


class Strategy(StrEnum):
    """What readers see until the files are loaded."""

    DROP = "drop"
    SWAP = "swap"


def refresh(
    ingestion: Which,
    mode: Annotated[Mode, typer.Option(help="Every file again, or only files that were never loaded.")] = Mode.FULL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    auto_run: Annotated[bool, typer.Option(help="Run the ingestion as soon as the new table is there.")] = True,
    strategy: Annotated[
        Strategy, typer.Option(help="drop: an empty table at once. swap: the old rows until everything is loaded.")
    ] = Strategy.DROP,
    yes: Yes = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Begin the table anew. The old rows are kept: in a table under another name, or (swap) in the table's history.

    Exit code 1: not all of it is known to be done.
    """
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        if not (dry_run or yes):
            table = client.ingestion(ingestion_id).destination.identifier
            typer.confirm(f"Readers of {table} {_SEEN[strategy]} until the files are loaded. Go on?", abort=True)
        told = client.refresh(
            ingestion_id, full=mode is Mode.FULL, dry_run=dry_run, auto_run=auto_run, strategy=strategy.value
        )
        report(told, as_json=as_json)


_SEEN = {Strategy.DROP: "see an empty table", Strategy.SWAP: "see the old rows"}


def refreshes(ingestion: Which, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """List the refreshes, newest first, and until when each can be undone."""
    with connected(api) as client:
        done = client.refreshes(found(client, ingestion))
        if as_json:
            print_json(done)
            return
        rows = [(r.timestamp, r.mode, _outcome(r), r.undo_until, r.refresh_id) for r in done]
        print_rows(("asked for", "what", "how it went", "undo until", "id"), rows, nothing="there was no refresh yet")


def undo_refresh(
    ingestion: Which,
    refresh: Annotated[UUID | None, typer.Argument(help="The refresh's id; the latest one if left out.")] = None,
    auto_run: Annotated[bool, typer.Option(help="Run the ingestion as soon as the old table is back.")] = False,
    yes: Yes = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Bring back the table from before a refresh. The one that it replaces is kept under another name.

    Exit code 1: not all of it is known to be done.
    """
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        refresh_id = refresh or _latest(client, ingestion_id)
        if not yes:
            table = client.ingestion(ingestion_id).destination.identifier
            typer.confirm(f"Put the table from before refresh {refresh_id} in the place of {table}?", abort=True)
        report(client.undo_refresh(ingestion_id, refresh_id, auto_run=auto_run), as_json=as_json)


def clear_history(ingestion: Which, yes: Yes = False, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """Forget which files were loaded: the next run reads them all again. The table stays as it is.

    Exit code 1: it is not known to be done.
    """
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        if not yes:
            table = client.ingestion(ingestion_id).destination.identifier
            typer.confirm(f"Rows will be in {table} twice unless you empty it before the next run. Go on?", abort=True)
        report(client.clear_history(ingestion_id), as_json=as_json)


def _latest(client: AutoloaderClient, ingestion_id: UUID) -> UUID:
    """
    Raises:
        Permanent: no refresh can be undone.
    """
    for done in client.refreshes(ingestion_id):
        if done.undo_until is not None and done.refresh_id is not None:
            return done.refresh_id
    raise Permanent("there is no refresh that could be undone", code="nothing_to_undo")


def _outcome(told: Refresh) -> str:
    """The first of its operations that is not done speaks for all."""
    statuses = [operation.status for operation in told.operations]
    return next((status for status in ("failed", "pending") if status in statuses), "success")


def report(told: Refresh, *, as_json: bool) -> None:
    """
    Raises:
        Exit: not all of it is known to be done.
    """
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
    if told.undo_until is not None:
        say(f"undo: possible until {told.undo_until:%Y-%m-%d %H:%M} UTC, as {told.refresh_id}")
    if told.run_id is not None:
        say(f"run: {told.run_id}")
