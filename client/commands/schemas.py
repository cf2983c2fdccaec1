"""``autoloader schema``: the columns of a table, and how they came to be."""

from typing import Annotated

import typer

from client.answers import ColumnChange, SchemaVersion
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found, print_json, print_rows, say


def schema(
    ingestion: Which,
    history: Annotated[bool, typer.Option("--history", help="Show how they came to be, newest first.")] = False,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Show the columns of an ingestion's table."""
    with connected(api) as client:
        which = found(client, ingestion)
        if history:
            versions = client.schema_versions(which)
            if as_json:
                print_json(versions)
            else:
                _tell(versions)
            return
        shown = client.schema(which)
        if as_json:
            print_json(shown)
            return
        rows = [(column.name, column.type) for column in shown.columns]
        print_rows(("column", "type"), rows, nothing="nothing is loaded yet: the first run makes the table")
        say(f"version {shown.version or 0}; schema_evolution_mode is {shown.mode}")


def _tell(versions: list[SchemaVersion]) -> None:
    rows = [
        (version.version, f"{version.created_at:%Y-%m-%d %H:%M}", _what(change), change.file, change.example)
        for version in versions
        for change in version.changes
    ]
    print_rows(("version", "when", "change", "file", "example"), rows, nothing="nothing is loaded yet")


def _what(change: ColumnChange) -> str:
    match change.kind:
        case "added":
            return f"{change.column} {change.type} is new"
        case "dropped":
            return f"{change.column} {change.before} is gone"
        case _:
            return f"{change.column} was {change.before}, and is {change.type}"
