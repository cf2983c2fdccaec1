"""``autoloader backfill``: load a part of the history."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from client.commands.runs import Watch, see_to
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found
from libs.common.errors import Permanent

_DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


Prefix = Annotated[str | None, typer.Option(help="Only keys that begin so.")]
Regex = Annotated[str | None, typer.Option(help="Only keys in which this expression (RE2) is found.")]
Since = Annotated[
    datetime | None, typer.Option("--from", formats=_DATES, help="Only objects written then (UTC) or later.")
]
Until = Annotated[datetime | None, typer.Option(formats=_DATES, help="Only objects written before that time (UTC).")]
Manifest = Annotated[
    Path | None,
    typer.Option("--keys", help="Only the keys in this file, one a line; - is stdin.", allow_dash=True),
]
MaxFiles = Annotated[int | None, typer.Option(min=1, help="Files to take, at most.")]
MaxBytes = Annotated[int | None, typer.Option(min=1, help="Bytes to take, at most.")]


def backfill(
    ingestion: Which,
    prefix: Prefix = None,
    regex: Regex = None,
    since: Since = None,
    until: Until = None,
    manifest: Manifest = None,
    max_files: MaxFiles = None,
    max_bytes: MaxBytes = None,
    watch: Watch = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Load a part of the history, beside the runs that load what is new."""
    with connected(api) as client:
        part = part_of(prefix, regex, since, until, manifest, max_files, max_bytes)
        ingestion_id = found(client, ingestion)
        see_to(client, ingestion_id, client.backfill(ingestion_id, part), watch=watch, as_json=as_json)


def part_of(
    prefix: str | None,
    regex: str | None,
    since: datetime | None,
    until: datetime | None,
    manifest: Path | None,
    max_files: int | None,
    max_bytes: int | None,
) -> dict[str, Any]:
    """The body of a backfill: what was given, in the API's words.

    Raises:
        Permanent: codes ``unreadable_file``, ``no_keys``.
    """
    part = {
        "prefix": prefix,
        "key_regex": regex,
        "modified_from": _utc(since),
        "modified_until": _utc(until),
        "keys": None if manifest is None else keys_in(manifest),
        "max_files": max_files,
        "max_bytes": max_bytes,
    }
    return {name: value for name, value in part.items() if value is not None}


def _utc(at: datetime | None) -> str | None:
    return None if at is None else at.replace(tzinfo=UTC).isoformat()


def keys_in(manifest: Path) -> list[str]:
    """The keys that a file names, one a line.

    Raises:
        Permanent: codes ``unreadable_file``, ``no_keys``.
    """
    try:
        text = typer.get_text_stream("stdin").read() if str(manifest) == "-" else manifest.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise Permanent(f"{manifest} cannot be read: {e}", code="unreadable_file", hint="check its name") from e
    keys = [line for line in text.splitlines() if line.strip()]
    if not keys:
        raise Permanent(f"{manifest} names no key", code="no_keys", hint="write one key a line, or s3://bucket/key")
    return keys
