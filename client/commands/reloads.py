"""``autoloader reload``: load files again, in the place of what is loaded of them."""

from typing import Annotated, Any

import typer

from client.commands.backfills import Manifest, Prefix, keys_in
from client.commands.runs import Watch, see_to
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found


def reload(
    ingestion: Which,
    keys: Annotated[list[str] | None, typer.Argument(help="Keys, or s3://bucket/key.", metavar="[KEY]...")] = None,
    prefix: Prefix = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that could not be loaded.")] = False,
    manifest: Manifest = None,
    watch: Watch = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Load files again: their old rows go and the new ones come in one commit."""
    with connected(api) as client:
        named = [*(keys or ()), *(keys_in(manifest) if manifest is not None else ())]
        which: dict[str, Any] = {}
        if named:
            which["keys"] = named
        if prefix is not None:
            which["prefix"] = prefix
        if failed:
            which["failed"] = True
        ingestion_id = found(client, ingestion)
        see_to(client, ingestion_id, client.reload(ingestion_id, which), watch=watch, as_json=as_json)
