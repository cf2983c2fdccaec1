"""What a table's schema lacks of what was found in files, and what of it cannot be had.

Only columns are added here (mode ``add_new_columns``). A value that does not fit its column's type is not a
change of schema: the record is bad, and the difference found here goes into its explanation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from libs.common.schema import Array, Field, Map, Struct, Type, distinct, sql
from services.executor.domain.provenance import is_ours

# What a column of the first type also takes without loss, from JSON.
_TAKES = {
    "string": frozenset({"bigint", "int", "double", "boolean", "float", "decimal", "date", "timestamp"}),
    "double": frozenset({"bigint", "int", "float"}),
    "bigint": frozenset({"int", "smallint", "tinyint"}),
}


@dataclass(frozen=True, slots=True)
class Addition:
    """A field that the table lacks. ``path`` leads to it from the root; in it ``element`` stands for an array's inside,
    ``value`` for a map's."""

    path: tuple[str, ...]
    type: Type
    comment: str = ""

    @classmethod
    def of(cls, field: Field) -> "Addition":
        """A column of the table."""
        return cls((field.name,), field.type, field.comment)

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Clash:
    """A field that the table has otherwise: another type, or a name that differs in case only."""

    path: tuple[str, ...]
    in_table: str
    found: str

    def __str__(self) -> str:
        return f"field {'.'.join(self.path)!r} is {self.found} here and {self.in_table} in the table"


@dataclass(frozen=True, slots=True)
class SchemaChange:
    additions: tuple[Addition, ...] = ()
    clashes: tuple[Clash, ...] = ()


def compare(table: Struct, found: Struct) -> SchemaChange:
    """The change that would let ``table`` hold everything in ``found``, and what stands against it."""
    additions: list[Addition] = []
    clashes: list[Clash] = []
    _compare_structs(table, found, (), additions, clashes)
    return SchemaChange(lacking(table, additions), tuple(clashes))


def lacking(table: Struct, additions: Iterable[Addition]) -> tuple[Addition, ...]:
    """Those of ``additions`` that ``table`` has not yet, in any spelling; each once.

    They were found by looking at an older schema: another batch may have added the same since, or its twin.
    """
    missing: list[Addition] = []
    for addition in additions:
        if not _has(table, addition.path):
            table = with_additions(table, (addition,))
            missing.append(addition)
    return tuple(missing)


def with_additions(table: Struct, additions: tuple[Addition, ...]) -> Struct:
    """The schema after ``additions``: new fields come last in their struct, as Iceberg puts them."""
    for addition in additions:
        grown = _grow(table, addition.path, Field(addition.path[-1], addition.type, comment=addition.comment))
        assert isinstance(grown, Struct)
        table = grown
    return table


def _compare_structs(
    table: Struct, found: Struct, path: tuple[str, ...], additions: list[Addition], clashes: list[Clash]
) -> None:
    by_lower = {f.name.lower(): f for f in table.fields}
    seen: set[str] = set()
    for f in found.fields:
        here = (*path, f.name)
        twin = by_lower.get(f.name.lower())
        if twin is None and f.name.lower() not in seen:
            additions.append(Addition(here, distinct(f.type)))
        elif twin is not None and is_ours(twin):
            clashes.append(Clash(here, "one of Autoloader's metadata_columns", "a field of the data"))
        elif twin is None or twin.name != f.name:
            clashes.append(Clash(here, f"named {twin.name!r}" if twin else "spelled in two ways", f"{f.name!r}"))
        else:
            _compare_types(twin.type, f.type, here, additions, clashes)
        seen.add(f.name.lower())


def _compare_types(
    table: Type, found: Type, path: tuple[str, ...], additions: list[Addition], clashes: list[Clash]
) -> None:
    match table, found:
        case Struct(), Struct():
            _compare_structs(table, found, path, additions, clashes)
        case Array(element=ours), Array(element=theirs):
            _compare_types(ours, theirs, (*path, "element"), additions, clashes)
        case Map(value=ours), Map(value=theirs):
            _compare_types(ours, theirs, (*path, "value"), additions, clashes)
        case Map(value=ours), Struct(fields=fields):  # a JSON object whose names are data
            for f in fields:
                _compare_types(ours, f.type, (*path, "value"), additions, clashes)
        case str(), str() if found == table or found.split("(")[0] in _TAKES.get(table, ()):
            pass
        case str("string"), _:
            pass  # a column of text takes any JSON as its text
        case _, str("string"):
            pass  # the type of a field that is null throughout; a text that does not fit shows as a bad record
        case _:
            clashes.append(Clash(path, sql(table), sql(found)))


def _has(found: Type, path: tuple[str, ...]) -> bool:
    """Whether something is at ``path`` already, or something that a new field there would collide with."""
    if not path:
        return True
    head, *rest = path
    match found:
        case Struct(fields=fields):
            twin = next((f for f in fields if f.name.lower() == head.lower()), None)
            return twin is not None and (twin.name != head or _has(twin.type, tuple(rest)))
        case Array(element=inner) | Map(value=inner):
            return _has(inner, tuple(rest))
        case _:
            return True


def _grow(found: Type, path: tuple[str, ...], added: Field) -> Type:
    head, *rest = path
    match found:
        case Array(element=element):
            return Array(_grow(element, tuple(rest), added))
        case Map(key=key, value=value):
            return Map(key, _grow(value, tuple(rest), added))
        case Struct(fields=fields) if not rest:
            return Struct((*fields, added))
        case Struct(fields=fields):
            return Struct(
                tuple(replace(f, type=_grow(f.type, tuple(rest), added)) if f.name == head else f for f in fields)
            )
        case _:
            raise TypeError(f"nothing can be added below {sql(found)}")
