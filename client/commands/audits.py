"""``autoloader audit``, ``rebuild-ledger`` and ``fill-columns``: ask, wait, print, and an exit code for scripts."""

import sys
import time
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from client.answers import Audit, Fill, Rebuild
from client.rest import DEFAULT_API_URL
from client.terminal import BAD_NEWS, Api, Json, Which, connected, found, print_rows, say
from libs.common.contracts.reports import AuditReport, FillReport, Findings, RebuildReport
from libs.common.errors import Permanent, Temporary

POLL_S = 0.5

Asked = TypeVar("Asked", Audit, Rebuild, Fill)
Wait = Annotated[float, typer.Option(help="Seconds to wait for the report.")]


def audit(ingestion: Which, api: Api = DEFAULT_API_URL, as_json: Json = False, wait_s: Wait = 600) -> None:
    """Hold bucket, ledger and table against each other. Changes nothing.

    Exit code 0: they agree. 1: something is missing, duplicated or orphaned. 2: it could not be told.
    """
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        audit_id = client.request_audit(ingestion_id)
        report = _awaited(lambda: client.audit(ingestion_id, audit_id), wait_s).report
        assert report is not None
        if as_json:
            sys.stdout.write(report.model_dump_json(indent=2) + "\n")
        else:
            print_audit(report, Console())
    raise typer.Exit(0 if report.clean else BAD_NEWS)


def rebuild_ledger(
    ingestion: Which,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
    wait_s: Wait = 600,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would write; write nothing.")] = False,
    unproven: Annotated[
        Literal["committed", "new"] | None,
        typer.Option(help="Files that may have been loaded before the table's oldest snapshot: are they?"),
    ] = None,
    from_ingestion: Annotated[
        UUID | None, typer.Option(help="The id under which the table was loaded, if the ingestion was created again.")
    ] = None,
) -> None:
    """Bring the ledger up to what the table's snapshots and the bucket prove, and let loading go on.

    For a database that was lost, or restored from an older backup. May be repeated. Exit code 2: it was refused.
    """
    if not (yes or dry_run):
        typer.confirm(f"Rewrite what the ledger says of ingestion {ingestion}?", abort=True)
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        rebuild_id = client.request_rebuild(
            ingestion_id, dry_run=dry_run, unproven=unproven, from_ingestion=from_ingestion
        )
        report = _awaited(lambda: client.rebuild(ingestion_id, rebuild_id), wait_s).report
        assert report is not None
        if as_json:
            sys.stdout.write(report.model_dump_json(indent=2) + "\n")
        else:
            print_rebuild(report, Console())


def fill_columns(
    ingestion: Which,
    columns: Annotated[
        list[str] | None, typer.Argument(help="Columns of the table; without any, all.", metavar="[COLUMN]...")
    ] = None,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
    wait_s: Wait = 600,
) -> None:
    """Put into columns what was rescued beside them before they came. May be repeated. Exit code 2: it was refused."""
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        fill_id = client.request_fill(ingestion_id, columns or None)
        report = _awaited(lambda: client.fill(ingestion_id, fill_id), wait_s).report
        assert report is not None
        if as_json:
            sys.stdout.write(report.model_dump_json(indent=2) + "\n")
        else:
            print_fill(report)


def print_fill(report: FillReport) -> None:
    """For people: what went into each column, and what stays rescued."""
    rows = [(c.column, f"{c.filled:,}", f"{c.unfit:,}") for c in report.columns]
    print_rows(("column", "rows filled", "rows whose value does not fit"), rows, nothing="nothing of them was rescued")
    say(f"{report.rows_changed:,} rows changed")


def print_audit(report: AuditReport, console: Console) -> None:
    """For people: the three sides, what was found, what is worth knowing."""
    sides = Table("", "batches", "files", "rows")
    for name, side in (("bucket", report.sides.bucket), ("ledger", report.sides.ledger), ("table", report.sides.table)):
        sides.add_row(name, *("" if n is None else f"{n:,}" for n in (side.batches, side.files, side.rows)))
    console.print(sides)
    kinds = {
        "missing": report.missing,
        "duplicated": report.duplicated,
        "orphaned": report.orphaned,
        "miscounted": report.miscounted,
    }
    for word, findings in kinds.items():
        if findings.count:
            console.print(_listed(word, findings))
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    found = ", ".join(f"{word} {findings.count:,}" for word, findings in kinds.items())
    console.print("bucket, ledger and table agree" if report.clean else found, markup=False)


def print_rebuild(report: RebuildReport, console: Console) -> None:
    """For people: one line per number."""
    numbers = Table("what", "number", title="would be written" if report.dry_run else "written")
    for what, number in (
        ("batches restored from the table", report.batches_restored),
        ("batches withdrawn that left the table", report.batches_withdrawn),
        ("files proved to be loaded", report.files_committed),
        ("files taken as loaded without proof", report.files_taken_on_trust),
        ("files that the next run loads", report.files_new),
    ):
        numbers.add_row(what, f"{number:,}")
    console.print(numbers)
    for note in report.notes:
        console.print(f"note: {note}", markup=False)


def _listed(word: str, findings: Findings) -> Table:
    more = findings.count - len(findings.examples)
    table = Table("name", "reason", title=f"{word}: {findings.count:,}", caption=f"and {more:,} more" if more else None)
    for example in findings.examples:
        table.add_row(example.name, example.reason)
    return table


def _awaited(look: Callable[[], Asked], wait_s: float) -> Asked:
    """The answer, when it is done.

    Raises:
        Permanent: it could not be done. Temporary: not within ``wait_s``.
    """
    until = time.monotonic() + wait_s
    while (answer := look()).status not in ("done", "failed"):
        if time.monotonic() > until:
            raise Temporary(
                f"no report within {wait_s:g} seconds ({answer.status})",
                code="report_late",
                hint="is an executor running? The request stays, and is answered when one takes it",
            )
        time.sleep(POLL_S)
    if answer.problem is not None:
        raise Permanent(answer.problem.message, code=answer.problem.error_type, hint=answer.problem.hint)
    return answer
