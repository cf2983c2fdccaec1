"""``autoloader preview``: look before an ingestion is made."""

import json
from typing import Any

from rich.filesize import decimal

from client.answers import Preview
from client.commands.ingestions import File, definition_of
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, connected, print_json, print_rows, say

_COLUMNS_MAX = 12
"""Of the sample rows. A terminal is not wider."""


def preview(file: File, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """Show what an ingestion would find and make of it: files, columns, rows, and what is wrong. Creates nothing."""
    with connected(api) as client:
        previewed = client.preview(definition_of(file))
        if as_json:
            print_json(previewed)
            return
        _show(previewed)


def _show(previewed: Preview) -> None:
    files, sample = previewed.files, previewed.sample
    say(
        f"{files.matching:,} of {files.objects:,} objects would be loaded, {decimal(files.size_bytes)}; "
        f"looked into {sample.files:,} files, {sample.records:,} records, {decimal(sample.bytes_read)}, "
        f"in {sample.seconds:.1f} s"
    )
    for excluded in files.excluded:
        say(f"  left out: {excluded.count:,}, {excluded.reason} (such as {excluded.examples[0]})")
    if previewed.columns:
        rows = [
            (c.name, c.type, _percent(c.null_share), _text(c.example), f"{c.files} of {sample.files}", c.first_file)
            for c in previewed.columns
        ]
        print_rows(("column", "type", "null", "example", "files", "first in"), rows, nothing="")
    if previewed.sample_rows:
        shown = [c.name for c in previewed.columns[:_COLUMNS_MAX]]
        print_rows(shown, [[_text(row.get(name)) for name in shown] for row in previewed.sample_rows], nothing="")
    for warning in previewed.warnings:
        say(f"! {warning.message}")
        say(f"  {warning.hint}")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
