"""Objects whose names are data: ids, days, words. As structs, each name would be a column of its own. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from libs.common.schema import Array, Map, Struct, Type
from libs.common.schema_hints import Hint

NAMES_MAX: Final = 100
"""An object with more names than this, and values of one type, is a map."""


def with_maps(found: Type, hints: Sequence[Hint] = (), path: tuple[str, ...] = ()) -> Type:
    """The type of JSON that stands at ``path``, with maps in the place of such objects. The record itself is none; nor
    is an object of which a hint says something, itself or a field of it."""
    match found:
        case Struct(fields=fields):
            inside = tuple(replace(f, type=with_maps(f.type, hints, (*path, f.name))) for f in fields)
            types = {f.type for f in inside}
            if path and len(inside) > NAMES_MAX and len(types) == 1 and not _is_said(hints, path):
                return Map("string", types.pop())
            return Struct(inside)
        case Array(element=element):
            return Array(with_maps(element, hints, (*path, "element")))
        case Map(key=key, value=value):
            return Map(key, with_maps(value, hints, (*path, "value")))
        case _:
            return found


def _is_said(hints: Sequence[Hint], path: tuple[str, ...]) -> bool:
    here = [name.lower() for name in path]
    return any([name.lower() for name in hint.path[: len(path)]] == here for hint in hints)
