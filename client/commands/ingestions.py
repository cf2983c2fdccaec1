"""``autoloader ingestion``: define what is loaded from where to where."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from client.answers import Ingestion, Schedule
from client.commands.refreshes import report
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, Yes, connected, found, print_json, print_rows, say
from libs.common.errors import Permanent

app = typer.Typer(no_args_is_help=True, help="Define what is loaded from where to where.")
File = Annotated[Path, typer.Option("--file", "-f", help="The definition, YAML or JSON: the body of POST /ingestions.")]


@app.command()
def create(file: File, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """Create an ingestion from a file."""
    with connected(api) as client:
        created = client.create_ingestion(definition_of(file))
        _tell(created, f"created {created.name}: {created.id}", as_json=as_json)


@app.command("list")
def list_(api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """List the ingestions, newest first."""
    with connected(api) as client:
        all_of_them = list(client.ingestions())
        if as_json:
            print_json(all_of_them)
            return
        rows = [(i.name, i.status, i.source.path, i.destination.identifier, i.id) for i in all_of_them]
        print_rows(
            ("name", "status", "source", "table", "id"),
            rows,
            nothing="there is no ingestion yet; make one with `autoloader ingestion create -f definition.yaml`",
        )


@app.command()
def show(ingestion: Which, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """Show one ingestion. YAML that can be edited and applied; credentials are never shown."""
    with connected(api) as client:
        shown = client.ingestion(found(client, ingestion))
        print_json(shown) if as_json else say(yaml.safe_dump(shown.model_dump(mode="json"), sort_keys=False).rstrip())


@app.command()
def update(ingestion: Which, file: File, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """Replace the definition by a file's. A run that is under way keeps the one that it began with."""
    with connected(api) as client:
        changed = client.replace_ingestion(found(client, ingestion), definition_of(file))
        _tell(changed, f"{changed.name} is at version {changed.definition_version}", as_json=as_json)


@app.command()
def pause(ingestion: Which, api: Api = DEFAULT_API_URL) -> None:
    """Let nothing begin until `resume`. A run that is under way goes on to its end."""
    with connected(api) as client:
        client.pause(found(client, ingestion))
        say("paused; a run that is under way goes on to its end")


@app.command()
def resume(ingestion: Which, api: Api = DEFAULT_API_URL) -> None:
    """Let loading go on after a pause or a halt."""
    with connected(api) as client:
        say(client.resume(found(client, ingestion)))


@app.command()
def schedule(
    ingestion: Which,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many ticks to show.")] = 5,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Show when an ingestion runs by itself."""
    with connected(api) as client:
        shown = client.schedule(found(client, ingestion), count=count)
        if as_json:
            print_json(shown)
            return
        say(state_of(shown))
        rows = [(f"{t.shown:%a %Y-%m-%d %H:%M %z}", f"{t.starts_at:%Y-%m-%d %H:%M:%S}Z") for t in shown.ticks]
        print_rows((f"on the clock ({shown.timezone})", "its run starts"), rows, nothing="no run starts by the clock")


def state_of(schedule: Schedule) -> str:
    """One line: whether it ticks, and what is in the way."""
    if not schedule.is_on:
        return "off; `autoloader ingestion resume` turns on what the definition says"
    if schedule.expression is None:
        return "on: by what the bucket tells of"
    if schedule.waiting_since is None:
        return f"on: {schedule.expression}"
    reason = f" ({schedule.blocked_by})" if schedule.blocked_by else ""
    return f"on: {schedule.expression}; the tick of {schedule.waiting_since:%Y-%m-%d %H:%M}Z has not started{reason}"


@app.command()
def delete(
    ingestion: Which,
    drop_table: Annotated[bool, typer.Option("--drop-table", help="Set its table aside under another name.")] = False,
    yes: Yes = False,
    api: Api = DEFAULT_API_URL,
) -> None:
    """Forget an ingestion and its credentials. What is under way is stopped; the table stays, unless told otherwise.

    Exit code 1: not all of it is known to be done.
    """
    with connected(api) as client:
        ingestion_id = found(client, ingestion)
        shown: Ingestion = client.ingestion(ingestion_id)
        table = shown.destination.identifier
        if not yes:
            fate = f"{table} gets another name." if drop_table else f"{table} stays."
            typer.confirm(f"Forget {shown.name} ({ingestion_id})? {fate}", abort=True)
        told = client.delete_ingestion(ingestion_id, drop_table=drop_table)
        if told is None:
            say(f"deleted; the table {table} stays")
        else:
            report(told, as_json=False)


def _tell(ingestion: Ingestion, done: str, *, as_json: bool) -> None:
    """What was done, and what the API warns of."""
    if as_json:
        print_json(ingestion)
        return
    say(done)
    for warning in ingestion.warnings:
        say(f"warning: {warning}")


def definition_of(file: Path) -> dict[str, Any]:
    """What a file holds.

    Raises:
        Permanent: it cannot be read, or holds no mapping.
    """
    try:
        text = file.read_text()
        # JSON is YAML, but the JSON reader's complaints fit it better.
        held = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as e:
        raise Permanent(f"{file} cannot be read: {e}", code="unreadable_definition") from e
    try:
        json.dumps(held)
    except TypeError as e:
        raise Permanent(
            f"{file} holds a value that JSON has not ({e})",
            code="unreadable_definition",
            hint="put dates and the like in quotes",
        ) from e
    if not isinstance(held, dict):
        raise Permanent(
            f"{file} holds no definition",
            code="unreadable_definition",
            hint="docs/howto/use-the-command-line.md has one to begin with",
        )
    return held
