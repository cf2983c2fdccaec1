"""A table's layout, from what Spark says of it: ``DESCRIBE TABLE EXTENDED`` and ``SHOW TBLPROPERTIES``. Pure.

``SHOW CREATE TABLE`` would be one answer for all, but it moves buckets out of the partitioning, and does not escape
what it quotes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from libs.common.schema import Struct, Type, quoted
from services.executor.adapters.iceberg_sql import WAP_ENABLED
from services.executor.domain.layout import Layout

_NOT_SET_BY_PEOPLE = frozenset(
    {"current-snapshot-id", "format", "identifier-fields", "location", "owner", "provider", "sort-order", WAP_ENABLED}
)
# Two tables must not write into one folder.
_PATHS = frozenset({"write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path"})
_PART = re.compile(r"Part [0-9]+")
_ORDERED = re.compile(r"(.+?) ((?:ASC|DESC) NULLS (?:FIRST|LAST))(?:, |$)", re.DOTALL)
# Iceberg writes bucket(4, id), and truncate(name, 4).
_CALL = re.compile(r"(\w+)\((?:([0-9]+), (.+)|(.+), ([0-9]+)|(.+))\)", re.DOTALL)

Described = Sequence[tuple[str, str]]
"""The first two columns of ``DESCRIBE TABLE EXTENDED``."""


def layout_of(described: Described, properties: Mapping[str, str], schema: Struct) -> Layout:
    """What a reader of the table would call its layout. A sort order of columns that cannot be told apart by what is
    said of them (``a.b`` beside ``a`` with a field ``b``) is left out."""
    about = described[len(schema.fields) :]  # before that are the columns, whatever they are called
    return Layout(
        parts=partitioning_of(described, schema),
        order=_order(properties.get("sort-order", ""), schema),
        identifiers=_identifiers(properties.get("identifier-fields", ""), schema),
        properties={n: v for n, v in properties.items() if n not in _NOT_SET_BY_PEOPLE | _PATHS},
        comment=next((text for name, text in about if name == "Comment"), ""),
    )


def partitioning_of(described: Described, schema: Struct) -> tuple[str, ...]:
    """The parts in use, as SQL writes them. Those that were dropped stay in old tables as ``void``."""
    about = described[len(schema.fields) :]
    return tuple(text for name, text in about if _PART.fullmatch(name) and not text.startswith("void("))


def location_of(described: Described, schema: Struct) -> str:
    return next(text for name, text in described[len(schema.fields) :] if name == "Location")


def _order(said: str, schema: Struct) -> tuple[str, ...]:
    names = _names(schema)
    order: list[str] = []
    for what, direction in _ORDERED.findall(said):
        if what in names:
            order.append(f"{names[what]} {direction}")
            continue
        call = _CALL.fullmatch(what)
        name = names.get(call[3] or call[4] or call[6]) if call else None
        if call is None or name is None:
            return ()
        width = call[2] or call[5]
        order.append(f"{call[1]}({f'{width}, ' if width else ''}{name}) {direction}")
    return tuple(order)


def _identifiers(said: str, schema: Struct) -> tuple[str, ...]:
    names, columns = _names(schema), [c for c in said.strip("[]").split(",") if c]
    return tuple(names[c] for c in columns) if all(c in names for c in columns) else ()


def _names(schema: Struct) -> Mapping[str, str]:
    """From what Iceberg calls a column to what SQL calls it; without those that it calls alike."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for path in _paths(schema):
        said = ".".join(path)
        if said in found:
            twice.add(said)
        found[said] = ".".join(map(quoted, path))
    return {said: name for said, name in found.items() if said not in twice}


def _paths(found: Type, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(found, Struct):
        for f in found.fields:
            yield (*before, f.name)
            yield from _paths(f.type, (*before, f.name))
