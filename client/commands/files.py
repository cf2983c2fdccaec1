"""``autoloader files`` and ``autoloader explain``: what became of each file, and why."""

from typing import Annotated
from uuid import UUID

import typer

from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found, print_json, print_rows, say


def files(
    ingestion: Which,
    state: Annotated[str | None, typer.Option(help="Only files in this state, such as failed.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Only keys that start with this.")] = None,
    run: Annotated[UUID | None, typer.Option(help="Only files that this run found.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """List the files that the ledger knows, newest first."""
    with connected(api) as client:
        listed, total = client.files(found(client, ingestion), state=state, prefix=prefix, run_id=run, limit=limit)
        if as_json:
            print_json(listed)
            return
        rows = [(f.state, f.key, f.size_bytes, f.records, f.error) for f in listed]
        print_rows(("state", "key", "bytes", "records", "error"), rows, nothing="the ledger knows no such file")
        if total > len(listed):
            say(f"{len(listed):,} of {total:,}; --limit shows more")


def explain(
    ingestion: Which,
    key: Annotated[str, typer.Argument(help="A key of the source's bucket, or s3://bucket/key.", metavar="KEY")],
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Say why a file is in the table, or is not."""
    with connected(api) as client:
        explained = client.explain(found(client, ingestion), key)
        if as_json:
            print_json(explained)
            return
        say(f"{explained.verdict}: {explained.uri}")
        for told in explained.evidence:
            say(f"  - {told}")
        say(f"next: {explained.next_action}")
