"""What a person said about the types of some fields, before anything else is known of them. Pure.

A hint counts for more than what values look like: in the columns that a table begins with, and in those that come
later. It names a field by its path, whatever its case; ``element`` and ``value`` lead into arrays and maps.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from libs.common.ddl import parse_path, parse_type
from libs.common.schema import Array, Field, Map, Struct, Type


@dataclass(frozen=True, slots=True)
class Hint:
    path: tuple[str, ...]
    type: Type


def parse_hints(written: Mapping[str, str]) -> tuple[Hint, ...]:
    """The hints in the order in which they count: what is said of a field comes before what is said of its inside.

    Raises:
        ValueError: a path or a type that cannot be read; names the hint.
    """
    hints = []
    for path, text in written.items():
        try:
            hints.append(Hint(parse_path(path), parse_type(text)))
        except ValueError as e:
            raise ValueError(f"the hint for {path!r}: {e}") from e
    return tuple(sorted(hints, key=lambda hint: len(hint.path)))


def hinted(found: Struct, hints: Iterable[Hint]) -> Struct:
    """``found`` with the types that the hints name. A hint for a field that is not there adds it, if what it lies in is
    there; else it waits for that."""
    for hint in hints:
        told = _told(found, hint.path, hint.type)
        assert isinstance(told, Struct)
        found = told
    return found


def at(found: Type, path: tuple[str, ...]) -> Type | None:
    """The type at the path, whatever the case of its names; None if nothing is there."""
    if not path:
        return found
    head, *rest = path
    match found:
        case Struct(fields=fields):
            twin = next((f for f in fields if f.name.lower() == head.lower()), None)
            return None if twin is None else at(twin.type, tuple(rest))
        case Array(element=inner) if head == "element":
            return at(inner, tuple(rest))
        case Map(value=inner) if head == "value":
            return at(inner, tuple(rest))
        case _:
            return None


def _told(found: Type, path: tuple[str, ...], type_: Type) -> Type:
    if not path:
        return type_
    head, rest = path[0], path[1:]
    match found:
        case Struct(fields=fields) if any(f.name.lower() == head.lower() for f in fields):
            return Struct(
                tuple(
                    replace(f, type=_told(f.type, rest, type_)) if f.name.lower() == head.lower() else f for f in fields
                )
            )
        case Struct(fields=fields) if not rest:
            return Struct((*fields, Field(head, type_)))
        case Array(element=inner) if head == "element":
            return Array(_told(inner, rest, type_))
        case Map(key=key, value=inner) if head == "value":
            return Map(key, _told(inner, rest, type_))
        case _:
            return found
