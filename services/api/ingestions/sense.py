"""What can be known to be wrong with a definition before it ever runs. Pure.

Asked when somebody sends one, and not of those that are stored: a rule that is added later must not make an ingestion
unreadable that has worked so far.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit
from uuid import UUID

from libs.common.completeness import expected
from libs.common.contracts.definition import (
    FILE_PATH,
    Credentials,
    Definition,
    Destination,
    Quality,
    Source,
)
from libs.common.contracts.schedule import Schedule
from libs.common.contracts.schema_rules import SchemaRules
from libs.common.ddl import written_path
from libs.common.key_columns import takes_keys, with_key_columns
from libs.common.schedules.expression import problems_of
from libs.common.schema import Struct, sql
from libs.common.schema_hints import at, parse_hints
from libs.common.selection.names import unreadable
from libs.common.selection.pattern import outlines
from services.api.ingestions.format_sense import of_format


def contradictions(sent: Definition, credentials: Credentials | None) -> list[str]:
    """What cannot be meant: each names the field, and what to write instead."""
    return [
        *_of_name(sent.name),
        *_of_source(sent.source),
        *_of_credentials(credentials),
        *of_format(sent.format),
        *_of_columns(sent.format.schema_rules, sent.destination),
        *_of_keys(sent),
        *_of_destination(sent.destination),
        *_of_schedule(sent.schedule),
        *_of_quality(sent.quality),
        *_of_overwrites(sent),
    ]


def _of_name(name: str) -> Iterator[str]:
    if not name.strip():
        yield "name is blank; write what people should call the ingestion"


def _of_source(source: Source) -> Iterator[str]:
    if ".." in source.bucket:
        yield f"source.path names the bucket {source.bucket!r}, which no store can have: two dots in a row"
    if "*" in source.prefix:
        yield (
            f"source.path {source.path!r} has a wildcard; name the folder there, "
            "and write into source.file_pattern which of its files are wanted"
        )
    elif (reason := unreadable(f"{source.prefix}file")) is not None:
        yield f"source.path {source.path!r} holds no file that can be read: {reason}"
    reasons = [unreadable(outline) for outline in outlines(source.file_pattern)]
    if all(reasons):
        yield (
            f"source.file_pattern {source.file_pattern!r} matches no file that can be read: {reasons[0]}; "
            "it is held against what follows source.path, so write *.json or 2025/**/*.json"
        )


def _of_credentials(credentials: Credentials | None) -> Iterator[str]:
    # The address itself is not repeated: it may hold a password.
    if credentials is not None and credentials.endpoint_url and not _is_address(credentials.endpoint_url):
        yield "source.credentials.endpoint_url must be a host and a port, as in http://host:9000, and nothing more"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:  # of the port, or of an IPv6 host
        return False


def _of_columns(rules: SchemaRules, destination: Destination) -> Iterator[str]:
    given, hints = rules.columns, parse_hints(rules.hints)
    for hint in hints:
        if given is not None and (found := at(given, hint.path)) is not None:
            yield (
                f"format.schema.hints says what {written_path(hint.path)!r} is, and so does schema_json "
                f"({sql(found)}); leave one of them out"
            )
    named = {f.name.lower() for f in given.fields} if given is not None else set()
    named |= {hint.path[0].lower() for hint in hints}
    ours = {name.lower() for name in (*destination.metadata_columns, rules.rescued_column) if name}
    for name in sorted(named & ours):
        yield f"format.schema names the column {name!r}, which is Autoloader's own here; name it otherwise"
    if rules.rescued_data_column is not None and rules.rescued_data_column.lower() in destination.metadata_columns:
        yield (
            f"format.schema.rescued_data_column {rules.rescued_data_column!r} is one of destination.metadata_columns; "
            "name it otherwise"
        )


def _of_keys(sent: Definition) -> Iterator[str]:
    rules, names = sent.format.schema_rules, sent.source.partition_columns
    ours = {name.lower() for name in (*sent.destination.metadata_columns, rules.rescued_column) if name}
    for name in names:
        if name.lower() in ours:
            yield f"source.partition_columns names {name!r}, which is Autoloader's own column here; leave it out"
        folder = next((f for f in sent.source.prefix.split("/") if f.lower().startswith(f"{name.lower()}=")), None)
        if folder is not None:
            yield (
                f"source.partition_columns names {name!r}, and source.path ends below the folder {folder!r}: only "
                "folders below the path count; name a path above it"
            )
    known = with_key_columns(rules.columns or Struct(), names, parse_hints(rules.hints))
    for f in known.fields:
        if f.name.lower() in {name.lower() for name in names} and not takes_keys(f.type):
            yield (
                f"format.schema says that {f.name!r} is {sql(f.type)}, and source.partition_columns fills it from "
                "keys, which can give a text, a number, a boolean or a time"
            )


def _of_destination(destination: Destination) -> Iterator[str]:
    if destination.partitioning.columns and not destination.partitioning.enabled:
        yield _idle("destination.partitioning.columns", "destination.partitioning.enabled is false")
    if destination.optimization.z_ordering_columns and not destination.optimization.z_ordering_enabled:
        yield _idle("destination.optimization.z_ordering_columns", "z_ordering_enabled is false")


def _of_schedule(schedule: Schedule) -> Iterator[str]:
    yield from problems_of(schedule)
    start, is_enabled = schedule.backfill.start_date, schedule.backfill.enabled
    if start is not None and not is_enabled:
        yield _idle("schedule.backfill.start_date", "schedule.backfill.enabled is false")
    if start is not None and not _is_date(start):
        yield "schedule.backfill.start_date must be a date, as in 2025-01-31"
    if is_enabled:
        yield (
            "schedule.backfill.enabled is not supported yet; leave it out, and load the history with POST …/backfill "
            '{"modified_from": "2025-01-31T00:00:00Z"}'
        )


def _of_quality(quality: Quality) -> Iterator[str]:
    for rule in quality.expected_arrivals:
        yield from expected.problems_of(rule)
    if quality.alert_recipients and not quality.alerts_enabled:
        yield _idle("quality.alert_recipients", "quality.alerts_enabled is false")
    if quality.on_error != "continue":
        for field in ("bad_records_max", "bad_records_share_max"):
            if getattr(quality, field) is not None:
                yield _idle(f"quality.{field}", f"quality.on_error is {quality.on_error}")


def _of_overwrites(sent: Definition) -> Iterator[str]:
    if sent.source.allow_overwrites == "replace" and FILE_PATH not in sent.destination.metadata_columns:
        yield (
            f"source.allow_overwrites 'replace' needs {FILE_PATH} among destination.metadata_columns: without it the "
            "table does not say which rows came from a file that was overwritten"
        )


def _idle(field: str, because: str) -> str:
    return f"{field} has no effect, since {because}; leave it out"


def _is_date(text: str) -> bool:
    with suppress(ValueError):
        return bool(date.fromisoformat(text))
    return False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another ingestion of the tenant that writes to the same table, however it is spelt."""

    id: UUID
    name: str
    source: Source


def warnings(definition: Definition, neighbours: Sequence[Neighbour], building: UUID | None = None) -> list[str]:
    """What is allowed, and is seldom meant; and that a refresh, ``building``, has not put its rows in place yet."""
    told = []
    if building is not None:
        told.append(
            f"refresh {building} builds the table aside: readers of {definition.destination.identifier} see the old "
            "rows until a run has loaded everything"
        )
    for each in neighbours:
        who = f"ingestion {each.name!r} ({each.id}) writes to {definition.destination.identifier} as well"
        if _overlap(definition.source, each.source):
            told.append(f"{who}, and reads from {each.source.path}: files that both want are in the table twice")
        else:
            told.append(f"{who}: a refresh of one takes the rows of the other out of the table, too")
    return told


def _overlap(one: Source, other: Source) -> bool:
    a, b = one.prefix, other.prefix
    return one.bucket == other.bucket and (a.startswith(b) or b.startswith(a))
