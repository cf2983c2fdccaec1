"""``autoloader plan``: see what would be loaded, before it is."""

from typing import Annotated, Any, Literal

import typer

from client.answers import Plan
from client.commands.backfills import Manifest, MaxBytes, MaxFiles, Prefix, Regex, Since, Until, part_of
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found, print_json, print_rows, say

_SHOWN = 20
Kind = Annotated[
    Literal["run", "backfill", "refresh-full", "refresh-new-only"],
    typer.Option(help="What to plan.", show_choices=True),
]


def plan(
    ingestion: Which,
    kind: Kind = "run",
    prefix: Prefix = None,
    regex: Regex = None,
    since: Since = None,
    until: Until = None,
    manifest: Manifest = None,
    max_files: MaxFiles = None,
    max_bytes: MaxBytes = None,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """See exactly which files would be loaded, and what that will come to. Nothing is loaded.

    The options of `autoloader backfill` say which part, with --kind backfill. `autoloader run --plan` loads it.
    """
    with connected(api) as client:
        part = part_of(prefix, regex, since, until, manifest, max_files, max_bytes)
        asked: dict[str, Any] = {"kind": kind.replace("-", "_"), **({"backfill": part} if part else {})}
        ingestion_id = found(client, ingestion)
        made = client.make_plan(ingestion_id, asked)
        if as_json:
            print_json(made)
        else:
            _show(made)


def _show(made: Plan) -> None:
    predicted = made.predicted
    records = "records unknown" if predicted.records is None else f"about {predicted.records:,} records"
    say(
        f"{predicted.files:,} files of {predicted.size_bytes:,} bytes, {records}, "
        f"{predicted.snapshots or 0:,} snapshots; "
        f"about {predicted.duration_seconds or 0:.1f} s and {predicted.cost_usd or 0:.6f} USD"
    )
    say(f"{made.files_skipped:,} are loaded or in work, {made.files_refused:,} would be refused")
    if made.files_replacing:
        say(f"{made.files_replacing:,} take the place of what is loaded of them")
    print_rows(
        ("key", "bytes", "written (UTC)"),
        [(f.key, f.size_bytes, f.last_modified) for f in made.first_files[:_SHOWN]],
        nothing="nothing would be loaded",
    )
    if (more := predicted.files - len(made.first_files[:_SHOWN])) > 0:
        say(f"and {more:,} more")
    for column in made.schema_change.columns_added:
        say(f"new column: {column.name} {column.type}, as in {column.first_file}")
    for note in made.notes:
        say(f"note: {note}")
    say(f"plan {made.id}; to go on: {made.next_steps.to_proceed}")
