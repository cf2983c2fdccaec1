"""How a file that brings its own schema fits into a table: which field goes into which column, what is new, and what no
column can take.

Names are matched as readers of the table do: without regard to case, and exactly first of all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from libs.common.schema import Array, Field, Map, Struct, Type, sql
from services.executor.domain.file_types import stored, takes


@dataclass(frozen=True, slots=True)
class Fit:
    """``pairs`` has each column of the table with the file's field for it, if there is one; ``unknown`` are the file's
    fields that the table lacks, dotted; ``clashes`` says, by the table's column, why it cannot take the file's field.
    """

    pairs: tuple[tuple[Field, Field | None], ...]
    unknown: frozenset[str]
    clashes: dict[str, str]


def fit(table: Struct, file: Struct) -> Fit:
    """``table`` has the data's columns alone."""
    found = _Findings()
    found.of_structs(table, file, _Way())
    return Fit(tuple(pairs(table, file)), frozenset(found.unknown), found.clashes)


def pairs(table: Struct, file: Struct) -> Iterator[tuple[Field, Field | None]]:
    """Each of the table's fields, with the file's field for it."""
    for f in table.fields:
        yield f, _twin(table, file, f.name)


class _Findings:
    """What was seen so far, on a walk through two types at once."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.clashes: dict[str, str] = {}

    def of_structs(self, table: Struct, file: Struct, way: "_Way") -> None:
        met = [(ours, theirs) for ours, theirs in pairs(table, file) if theirs is not None]
        taken = {theirs.name for _, theirs in met}
        self.unknown += (way.respelled or ".".join((*way.path, f.name)) for f in file.fields if f.name not in taken)
        for ours, theirs in met:
            self._of_types(ours.type, theirs.type, way.into(ours, theirs))

    def _of_types(self, table: Type, file: Type, way: "_Way") -> None:
        match table, file:
            case Struct(), Struct():
                self.of_structs(table, file, way)
            case Array(element=ours), Array(element=theirs):
                self._of_types(ours, theirs, way.inside("element"))
            case Map(key=key, value=ours), Map(key=their_key, value=theirs) if _is_key(key, their_key):
                self._of_types(ours, theirs, way.inside("value"))
            case str(), str() if takes(table, file):
                pass
            case _:
                self.clashes.setdefault(
                    way.path[0], f"field {'.'.join(way.path)!r} is {sql(file)} here and {sql(table)} in the table"
                )


@dataclass(frozen=True, slots=True)
class _Way:
    """Where the walk is. ``respelled`` is the first field on the way whose name differs in case: what is new inside has
    no place in the table under the file's own spelling, so that field is what stands in its way."""

    path: tuple[str, ...] = ()
    respelled: str | None = None

    def into(self, ours: Field, theirs: Field) -> "_Way":
        differs = None if ours.name == theirs.name else ".".join((*self.path, theirs.name))
        return _Way((*self.path, ours.name), self.respelled or differs)

    def inside(self, word: str) -> "_Way":
        return replace(self, path=(*self.path, word))


def _is_key(table: Type, file: Type) -> bool:
    """Keys that were made equal would be lost, so none is converted."""
    return isinstance(file, str) and stored(file) == table


def _twin(table: Struct, file: Struct, name: str) -> Field | None:
    if (exact := file.get(name)) is not None:
        return exact
    alike = [f for f in file.fields if f.name.lower() == name.lower() and table.get(f.name) is None]
    return alike[0] if len(alike) == 1 else None
