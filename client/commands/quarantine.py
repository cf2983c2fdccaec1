"""``autoloader quarantine``: records that did not fit their table."""

from typing import Annotated

import typer

from client.commands.runs import Watch, see_to
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found, print_json, say

app = typer.Typer(no_args_is_help=True, help="Records that did not fit their table, and were set aside.")
_LINE_MAX = 100


@app.command("list")
def list_(
    ingestion: Which,
    file: Annotated[str | None, typer.Option(help="Only this file: a key, or s3://bucket/key.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many files.", min=1, max=100)] = 20,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """List files with bad records, newest first, and the first bad records of each."""
    with connected(api) as client:
        listed, total = client.quarantine(found(client, ingestion), file=file, limit=limit)
        if as_json:
            print_json(listed)
            return
        for each in listed:
            loaded = "?" if each.records_loaded is None else f"{each.records_loaded:,}"
            say(f"{each.file}: {each.records_quarantined:,} set aside, {loaded} loaded")
            for record in each.first:
                say(f"  line {record.line or '?'}: {record.reason}")
                if record.raw is not None:
                    say(f"    {record.raw[:_LINE_MAX]}")
        if listed:
            say(f"all of them, whole, are in {listed[0].table}")
        else:
            say("no file has records in the quarantine")
        if total > len(listed):
            say(f"{len(listed):,} of {total:,} files; --limit shows more")


@app.command()
def replay(
    ingestion: Which,
    files: Annotated[list[str] | None, typer.Argument(help="Keys, or s3://bucket/key.", metavar="[FILE]...")] = None,
    watch: Watch = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Read files with records in the quarantine again, when the cause is mended: what fits now leaves it."""
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        see_to(client, ingestion_id, client.replay(ingestion_id, files), watch=watch, as_json=as_json)
