"""``autoloader run``, ``runs``, ``cancel``, ``retry``: have files loaded, and see what became of it."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from client.answers import Accepted, Run
from client.rest import DEFAULT_API_URL, ApiAway, ApiProblem, AutoloaderClient
from client.terminal import BAD_NEWS, Api, Json, Which, WhichRun, connected, found, print_json, print_rows, say

POLL_S = 0.5
AWAY_S_MAX = 60.0
"""How long a watched run's API may be away, restarting, before it is given up."""

ERRORS_SHOWN = 20
Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Follow the run to its end; exit code 1 if it is no success.")
]


def run(
    ingestion: Which,
    watch: Watch = False,
    plan: Annotated[UUID | None, typer.Option(help="Load exactly the files of this plan, or none.")] = None,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Load what is new."""
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        see_to(client, ingestion_id, client.start_run(ingestion_id, plan_id=plan), watch=watch, as_json=as_json)


def retry(
    ingestion: Which, failed: WhichRun, watch: Watch = False, api: Api = DEFAULT_API_URL, as_json: Json = False
) -> None:
    """Read again what a run could not load, and nothing else."""
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        see_to(client, ingestion_id, client.retry_run(ingestion_id, failed), watch=watch, as_json=as_json)


def cancel(ingestion: Which, which: WhichRun, api: Api = DEFAULT_API_URL) -> None:
    """Stop a run. What it has loaded stays; the rest waits for the next one."""
    with connected(api) as client:
        status = client.cancel_run(found(client, ingestion), which)
        say(status if status == "cancelled" else f"{status}; it ends when the batches that are being written have")


def runs(
    ingestion: Which,
    which: Annotated[UUID | None, typer.Argument(help="One run, in full.", metavar="[RUN]")] = None,
    watch: Watch = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """List the runs of an ingestion, newest first; or show one, or watch it."""
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        if which is not None:
            shown = watched(client, ingestion_id, which) if watch else client.run(ingestion_id, which)
            _show(shown, as_json=as_json)
            return
        listed = client.runs(ingestion_id)
        if as_json:
            print_json(listed)
            return
        rows = [
            (r.status, r.trigger, r.metrics.files_processed, r.metrics.records_ingested, r.metrics.error_count,
             r.started_at, r.metrics.duration_seconds, r.id)
            for r in listed
        ]  # fmt: skip
        print_rows(
            ("status", "trigger", "files", "records", "errors", "started (UTC)", "seconds", "id"),
            rows,
            nothing="it never ran; `autoloader run` begins",
        )


def watched(client: AutoloaderClient, ingestion_id: UUID, run_id: UUID) -> Run:
    """The run when it is over. A bar shows how far it is, on stderr and only where somebody looks.

    Raises:
        ApiAway: the API did not answer for ``AWAY_S_MAX`` seconds.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("accepted", total=None)
        for shown in _states(client, ingestion_id, run_id):
            if shown is None:
                bar.update(task, description="the API is away")
                continue
            found, done = shown.progress.files_discovered, shown.progress.files_done
            bar.update(task, description=shown.status, completed=done, total=found or None)
            if shown.is_over:
                return shown
    raise AssertionError("_states ends with a run that is over")


def _states(client: AutoloaderClient, ingestion_id: UUID, run_id: UUID) -> Iterator[Run | None]:
    """The run whenever it changes, as long as the API tells; if that breaks off, the run as often as one may ask.
    None: the API is away."""
    with suppress(ApiProblem):  # whatever it is, asking will tell
        yield from client.run_events(ingestion_id, run_id)
    heard_at = time.monotonic()
    while True:
        try:
            yield client.run(ingestion_id, run_id)
            heard_at = time.monotonic()
        except ApiAway:
            if time.monotonic() - heard_at > AWAY_S_MAX:
                raise
            yield None
        time.sleep(POLL_S)


def see_to(client: AutoloaderClient, ingestion_id: UUID, accepted: Accepted, *, watch: bool, as_json: bool) -> None:
    """Follows a run that was accepted to its end, or says that it was."""
    if watch:
        _show(watched(client, ingestion_id, accepted.run_id), as_json=as_json)
        return
    if as_json:
        print_json(accepted)
        return
    say(f"accepted: {accepted.run_id}" + (" (it waits for the run before it)" if accepted.queued else ""))


def _show(run: Run, *, as_json: bool) -> None:
    """Exit code 1 if it ended as no success."""
    if as_json:
        print_json(run)
    else:
        print_run(run)
    if run.is_over and run.status != "success":
        raise typer.Exit(BAD_NEWS)


def print_run(run: Run) -> None:
    """For people: how it stands, its numbers, what went wrong."""
    m = run.metrics
    took = "" if m.duration_seconds is None else f" in {m.duration_seconds:.1f} s"
    say(
        f"{run.status}: {m.files_processed:,} files, {m.records_ingested:,} records{took}; "
        f"{m.files_skipped:,} skipped, {m.files_failed:,} failed"
    )
    if run.waiting_on:
        say(f"waiting: {run.waiting_on}")
    for warning in run.warnings:
        say(f"warning: {warning}")
    for error in run.errors[:ERRORS_SHOWN]:
        where = f"{error.file or 'run'}{f':{error.line}' if error.line else ''}"
        say(f"{where}: {error.message}" + (f" ({error.hint})" if error.hint else ""))
    if (more := m.error_count - len(run.errors[:ERRORS_SHOWN])) > 0:
        say(f"and {more:,} more; `autoloader files --state failed` lists the files")
