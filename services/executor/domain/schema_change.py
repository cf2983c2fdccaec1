"""What a table's schema lacks of what was found in files, and what of it cannot be had.

Fields can be added, and a few types can be widened in place. Any other difference is not a change of schema: the record
is bad, and what was found here goes into its explanation. Which of these changes are made is for ``evolution.py``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from libs.common.schema import Array, Field, Map, Struct, Type, distinct, sql
from libs.common.schema_hints import Hint, at, hinted
from services.executor.domain.provenance import is_from_key, is_ours

# What a column of the first type also takes from JSON. (A value may still have too many digits; then its line says so.)
_TAKES = {
    "string": frozenset({"bigint", "int", "double", "boolean", "float", "decimal", "date", "timestamp"}),
    "double": frozenset({"bigint", "int", "float", "decimal"}),
    "float": frozenset({"bigint", "int", "double", "decimal"}),
    "decimal": frozenset({"bigint", "int", "double", "float"}),
    "bigint": frozenset({"int", "smallint", "tinyint"}),
    "timestamp": frozenset({"bigint", "date"}),
}
_DECIMAL_DIGITS_MAX = 38


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
class Widening:
    """A field whose type can become another one in place: every value that is there stays what it is."""

    path: tuple[str, ...]
    before: str
    type: str

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    additions: tuple[Addition, ...] = ()
    widenings: tuple[Widening, ...] = ()
    clashes: tuple[Clash, ...] = ()

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """What would change."""
        return (*(a.path for a in self.additions), *(w.path for w in self.widenings))

    @property
    def grows(self) -> bool:
        return bool(self.additions or self.widenings)


def compare(table: Struct, found: Struct) -> SchemaChange:
    """The change that would let ``table`` hold everything in ``found``, and what stands against it."""
    seen = _Differences()
    seen.of_structs(table, found, ())
    return SchemaChange(lacking(table, seen.additions), tuple(seen.widenings), tuple(seen.clashes))


def widened(table: Type, found: Type) -> str | None:
    """The type that Iceberg can turn ``table`` into so that it takes numbers of type ``found`` as well; None if there
    is none. It knows int to bigint, float to double, and more digits before the point of a decimal; a bigint never
    becomes a double, since a double cannot hold each of its values."""
    match table, found:
        case ("int", "bigint") | ("float", "double"):
            assert isinstance(found, str)
            return found
        case str(), str() if table.startswith("decimal("):
            digits, scale = _digits(table)
            wanted = _digits(found) if found.startswith("decimal(") else (_DECIMAL_DIGITS_MAX, scale)
            is_number = found.startswith("decimal(") or found in ("int", "bigint", "double")
            more = wanted[0] - wanted[1] + scale
            if is_number and wanted[1] <= scale and digits < min(more, _DECIMAL_DIGITS_MAX):
                return f"decimal({min(more, _DECIMAL_DIGITS_MAX)},{scale})"
    return None


def widest(found: Type, path: tuple[str, ...]) -> Iterator[Widening]:
    """Everything at and below ``path`` that can be widened, as far as that goes."""
    match found:
        case Struct(fields=fields):
            for f in fields:
                yield from widest(f.type, (*path, f.name))
        case Array(element=inner):
            yield from widest(inner, (*path, "element"))
        case Map(value=inner):
            yield from widest(inner, (*path, "value"))
        case str():
            wider = widened(found, "bigint") or widened(found, "double")
            if wider is not None:
                yield Widening(path, found, wider)


def _digits(decimal: str) -> tuple[int, int]:
    digits, scale = decimal.removeprefix("decimal(").removesuffix(")").split(",")
    return int(digits), int(scale)


def unwidened(table: Struct, widenings: Iterable[Widening]) -> tuple[Widening, ...]:
    """Those of ``widenings`` that ``table`` has not yet: another batch may have made one since they were found."""
    return tuple(w for w in widenings if at(table, w.path) == w.before)


def with_widenings(table: Struct, widenings: Iterable[Widening]) -> Struct:
    """The schema after ``widenings``."""
    return hinted(table, [Hint(w.path, w.type) for w in widenings])


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


class _Differences:
    """What was found so far, on a walk through two types at once."""

    def __init__(self) -> None:
        self.additions: list[Addition] = []
        self.widenings: list[Widening] = []
        self.clashes: list[Clash] = []

    def of_structs(self, table: Struct, found: Struct, path: tuple[str, ...]) -> None:
        by_lower = {f.name.lower(): f for f in table.fields}
        seen: set[str] = set()
        for f in found.fields:
            here = (*path, f.name)
            twin = by_lower.get(f.name.lower())
            if twin is None and f.name.lower() not in seen:
                self.additions.append(Addition(here, distinct(f.type)))
            elif twin is not None and is_from_key(twin):
                pass  # what the key says counts, whatever a record says
            elif twin is not None and is_ours(twin):
                self.clashes.append(Clash(here, "one of Autoloader's metadata_columns", "a field of the data"))
            elif twin is None or twin.name != f.name:
                self.clashes.append(
                    Clash(here, f"named {twin.name!r}" if twin else "spelled in two ways", f"{f.name!r}")
                )
            else:
                self.of_types(twin.type, f.type, here)
            seen.add(f.name.lower())

    def of_types(self, table: Type, found: Type, path: tuple[str, ...]) -> None:
        match table, found:
            case Struct(), Struct():
                self.of_structs(table, found, path)
            case Array(element=ours), Array(element=theirs):
                self.of_types(ours, theirs, (*path, "element"))
            case Map(value=ours), Map(value=theirs):
                self.of_types(ours, theirs, (*path, "value"))
            case Map(value=ours), Struct(fields=fields):  # a JSON object whose names are data
                for f in fields:
                    self.of_types(ours, f.type, (*path, "value"))
            case str(), str():
                self._of_scalars(table, found, path)
            case "string", _:
                pass  # a column of text takes any JSON as its text
            case _, "string":
                pass  # the type of a field that is null throughout; a text that does not fit shows as a bad record
            case _:
                self.clashes.append(Clash(path, sql(table), sql(found)))

    def _of_scalars(self, table: str, found: str, path: tuple[str, ...]) -> None:
        wider = widened(table, found)
        if wider is not None:
            self.widenings.append(Widening(path, table, wider))
        elif "string" not in (table, found) and not _takes(table, found):
            self.clashes.append(Clash(path, table, found))


def _takes(table: str, found: str) -> bool:
    return found == table or found.split("(", maxsplit=1)[0] in _TAKES.get(table.split("(", maxsplit=1)[0], ())


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
