"""How one version of a table's columns differs from the one before. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from libs.common.ddl import parse_type, written_path
from libs.common.schema import Array, Map, Struct, Type, sql

Kind = Literal["added", "changed", "dropped"]


@dataclass(frozen=True, slots=True)
class Difference:
    """``column`` is a path as people write it; ``type`` is what it is now, ``before`` what it was."""

    kind: Kind
    column: str
    type: str | None = None
    before: str | None = None


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[Difference, ...]:
    """What changed between two sets of columns, types by name as SQL writes them: outermost first, and of what is new
    as a whole nothing further in."""
    return tuple(_of_fields(_read(before), _read(now), ()))


def _read(columns: Mapping[str, str]) -> dict[str, Type]:
    return {name: _type(text) for name, text in columns.items()}


def _type(text: str) -> Type:
    try:
        return parse_type(text)
    except ValueError:
        return text  # a type that a table of others has, and no file could


def _of_fields(before: Mapping[str, Type], now: Mapping[str, Type], path: tuple[str, ...]) -> Iterator[Difference]:
    for name, type_ in now.items():
        if name in before:
            yield from _of_types(before[name], type_, (*path, name))
        else:
            yield Difference("added", written_path((*path, name)), sql(type_))
    for name, type_ in before.items():
        if name not in now:
            yield Difference("dropped", written_path((*path, name)), before=sql(type_))


def _of_types(before: Type, now: Type, path: tuple[str, ...]) -> Iterator[Difference]:
    match before, now:
        case Struct(fields=old), Struct(fields=new):
            yield from _of_fields({f.name: f.type for f in old}, {f.name: f.type for f in new}, path)
        case Array(element=old), Array(element=new):
            yield from _of_types(old, new, (*path, "element"))
        case Map(value=old), Map(value=new):
            yield from _of_types(old, new, (*path, "value"))
        case _ if before != now:
            yield Difference("changed", written_path(path), sql(now), sql(before))
