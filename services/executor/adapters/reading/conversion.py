"""SQL that turns a value of a file that brings its own types into the value of a column.

A file's times of day, UUIDs and nanoseconds come out of Spark as the numbers and bytes that they are stored as, and the
times of ORC as texts (``read_as``): as times, Spark would cut them. The session's time zone is UTC.
"""

from collections.abc import Mapping
from typing import Final

from libs.common.schema import Array, Field, Map, Struct, Type, literal, quoted, sql
from services.executor.domain.fitting import pairs

_READ_AS: Final[Mapping[str, str]] = {
    "timestamp_ns": "bigint",
    "timestamp_ntz_ns": "bigint",
    "timestamp_ntz_text": "string",
    "time_ms": "int",
    "time_us": "bigint",
    "time_ns": "bigint",
    "uuid": "binary",
}
_INSTANT_OF_NS = "timestamp_micros(({0} - pmod({0}, 1000)) div 1000)"
_TIME_OF_DAY = "date_format(timestamp_micros({0}), 'HH:mm:ss.SSSSSS')"
_MADE_OF: Final[Mapping[str, str]] = {
    "timestamp_ns": _INSTANT_OF_NS,
    "timestamp_ntz_ns": f"CAST({_INSTANT_OF_NS} AS timestamp_ntz)",
    "timestamp_ntz_text": "try_cast({0} AS timestamp_ntz)",
    "time_ms": _TIME_OF_DAY.format("CAST({0} AS bigint) * 1000"),
    "time_us": _TIME_OF_DAY,
    "time_ns": _TIME_OF_DAY.format("{0} div 1000"),
    "uuid": "regexp_replace(lower(hex({0})), '(.{{8}})(.{{4}})(.{{4}})(.{{4}})(.{{12}})', '$1-$2-$3-$4-$5')",
}

_FINER = "[.][0-9]{6}0*[1-9]"
"""More digits than a microsecond has."""


def read_as(found: Type) -> Type:
    """The type under which Spark is to read a file's field."""
    match found:
        case Struct(fields=fields):
            return Struct(tuple(Field(f.name, read_as(f.type)) for f in fields))
        case Array(element=inner):
            return Array(read_as(inner))
        case Map(key=key, value=inner):
            return Map(read_as(key), read_as(inner))
        case str():
            return _READ_AS.get(found, found)


def value(of: str, file: Type, table: Type, depth: int = 0) -> str:
    """What a column holds of ``of``; the two fit (``domain.fitting``)."""
    if file == table:
        return of
    each, name = f"e{depth}", f"k{depth}"
    match table, file:
        case Struct(), Struct():
            fields = ", ".join(
                f"{literal(ours.name)}, {_field(of, theirs, ours, depth)}" for ours, theirs in pairs(table, file)
            )
            return f"IF({of} IS NULL, NULL, named_struct({fields}))"
        case Array(element=ours), Array(element=theirs):
            return f"transform({of}, {each} -> {value(each, theirs, ours, depth + 1)})"
        case Map(key=key, value=ours), Map(key=their_key, value=theirs):
            values = f"transform_values({of}, ({name}, {each}) -> {value(each, theirs, ours, depth + 1)})"
            return f"transform_keys({values}, ({name}, {each}) -> {value(name, their_key, key, depth + 1)})"
        case str(), str():
            made = _MADE_OF[file].format(of) if file in _MADE_OF else of
            return f"try_cast({made} AS {table})"
        case _:
            raise TypeError(f"{sql(file)} does not fit into {sql(table)}")


def loses(of: str, file: Type, table: Type, depth: int = 0) -> str | None:
    """A condition, never null: the value is not whole in the column. None if that cannot be."""
    each = f"e{depth}"
    match table, file:
        case Struct(), Struct():
            inside = (
                loses(f"{of}.{quoted(theirs.name)}", theirs.type, ours.type, depth)
                for ours, theirs in pairs(table, file)
                if theirs is not None
            )
            found = [condition for condition in inside if condition is not None]
            return f"({' OR '.join(found)})" if found else None
        case Array(element=ours), Array(element=theirs):
            inner = loses(each, theirs, ours, depth + 1)
            return f"coalesce(exists({of}, {each} -> {inner}), false)" if inner else None
        case Map(value=ours), Map(value=theirs):
            inner = loses(each, theirs, ours, depth + 1)
            return f"coalesce(exists(map_values({of}), {each} -> {inner}), false)" if inner else None
        case _, "timestamp_ns" | "timestamp_ntz_ns" | "time_ns":
            return f"coalesce(pmod({of}, 1000) <> 0, false)"
        case _, "timestamp_ntz_text":
            is_no_time = f"try_cast({of} AS timestamp_ntz) IS NULL"
            return f"coalesce({of} RLIKE '{_FINER}' OR ({of} IS NOT NULL AND {is_no_time}), false)"
        case "double", "bigint":
            # The largest becomes a double that is larger still, and comes back as the largest.
            return f"({of} <=> {2**63 - 1} OR NOT (try_cast(CAST({of} AS double) AS bigint) <=> {of}))"
        case _:
            return None


def _field(of: str, file: Field | None, table: Field, depth: int) -> str:
    if file is None:
        return f"CAST(NULL AS {sql(table.type)})"
    return value(f"{of}.{quoted(file.name)}", file.type, table.type, depth)
