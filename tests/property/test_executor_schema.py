"""Schemas as values: they survive Spark's JSON, and a change that was found lets the files in."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.schema import Array, Field, Map, Struct, Type, sql, struct_from_json, structs_in, to_json
from services.executor.domain.schema_change import Addition, Clash, compare, with_additions

SCALARS = st.sampled_from(["bigint", "double", "string", "boolean", "int", "timestamp", "decimal(10,2)"])
NAMES = st.sampled_from(["id", "ID", "Id", "a", "b b", "c`d", "é", "x.y", "region"])


def structs(types: st.SearchStrategy[Type]) -> st.SearchStrategy[Struct]:
    fields = st.builds(Field, NAMES, types)
    return st.lists(fields, max_size=4, unique_by=lambda f: f.name).map(lambda fs: Struct(tuple(fs)))


TYPES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: structs(inner) | inner.map(Array) | inner.map(lambda v: Map("string", v)), max_leaves=6
)
STRUCTS = structs(TYPES)


def relatives(of: Type) -> st.SearchStrategy[Any]:
    """Types with something to add to ``of`` at any depth: two that are made up apart seldom meet below the root."""
    match of:
        case Struct(fields=fields):
            ours = st.tuples(*(st.builds(replace, st.just(f), type=relatives(f.type)) for f in fields))
            more = STRUCTS.map(lambda found: tuple(f for f in found.fields if not of.get(f.name)))
            return st.builds(lambda ours, more: Struct(ours + more), ours, more)
        case Array(element=inner):
            return relatives(inner).map(Array)
        case Map(key=key, value=inner):
            return relatives(inner).map(lambda value: Map(key, value))
        case _:
            return st.just(of) | TYPES


def sane(found: Type) -> bool:
    """No two fields of one struct differ in case only, as in every table that we made."""
    match found:
        case Struct(fields=fields):
            return len({f.name.lower() for f in fields}) == len(fields) and all(sane(f.type) for f in fields)
        case Array(element=inner) | Map(value=inner):
            return sane(inner)
        case _:
            return True


def only_adds(old: Type, new: Type) -> bool:
    """Whether ``new`` is ``old`` with fields appended to its structs, and nothing else."""
    match old, new:
        case Struct(fields=before), Struct(fields=after):
            kept = after[: len(before)]
            return len(kept) == len(before) and all(
                replace(f, type=g.type) == g and only_adds(f.type, g.type) for f, g in zip(before, kept, strict=True)
            )
        case Array(element=before), Array(element=after):
            return only_adds(before, after)
        case Map(key=key, value=before), Map(key=same_key, value=after):
            return key == same_key and only_adds(before, after)
        case _:
            return old == new


TABLES = STRUCTS.filter(sane)
TABLES_AND_FOUND = TABLES.flatmap(lambda table: st.tuples(st.just(table), relatives(table) | STRUCTS))
"""A table's schema, and what a file holds."""


@given(STRUCTS)
def test_a_schema_survives_its_json(schema: Struct) -> None:
    """What Spark is told is what we mean, and back."""
    assert schema == struct_from_json(to_json(schema))


@given(TABLES_AND_FOUND)
def test_adding_what_was_found_leaves_nothing_to_add(both: tuple[Struct, Struct]) -> None:
    """One round of evolution is enough."""
    table, found = both
    additions = compare(table, found).additions
    assert () == compare(with_additions(table, additions), found).additions


@given(TABLES_AND_FOUND)
def test_no_addition_differs_from_a_column_in_case_only(both: tuple[Struct, Struct]) -> None:
    """Readers that ignore case would find the column ambiguous."""
    table, found = both
    grown = with_additions(table, compare(table, found).additions)
    for _, struct in structs_in(grown):
        assert len({f.name.lower() for f in struct.fields}) == len(struct.fields)


@given(TABLES)
def test_a_schema_needs_no_change_to_hold_itself(table: Struct) -> None:
    """No addition, no clash."""
    change = compare(table, table)
    assert ((), ()) == (change.additions, change.clashes)


@given(TABLES_AND_FOUND)
@settings(max_examples=300)
def test_evolution_only_adds(both: tuple[Struct, Struct]) -> None:
    """At every depth, what was there is there, as it was and in its order, before what is new."""
    table, found = both
    assert only_adds(table, with_additions(table, compare(table, found).additions))


def test_what_compare_finds_is_told_with_its_path() -> None:
    """Nested fields, fields inside arrays, other types, other case."""
    table = Struct(
        (
            Field("id", "bigint"),
            Field("meta", Struct((Field("browser", "string"),))),
            Field("items", Array(Struct((Field("n", "bigint"),)))),
        )
    )
    found = Struct(
        (
            Field("ID", "bigint"),
            Field("meta", Struct((Field("browser", "bigint"), Field("version", "string")))),
            Field("items", Array(Struct((Field("n", "double"), Field("m", "string"))))),
            Field("region", "string"),
        )
    )
    change = compare(table, found)
    assert (
        Addition(("meta", "version"), "string"),
        Addition(("items", "element", "m"), "string"),
        Addition(("region",), "string"),
    ) == change.additions
    assert [("ID",), ("items", "element", "n")] == [clash.path for clash in change.clashes]
    assert Clash(("items", "element", "n"), "bigint", "double") in change.clashes


def test_names_are_quoted_whatever_they_hold() -> None:
    """In SQL a backtick in a name is doubled."""
    assert "struct<`c``d`: array<map<string, bigint>>>" == sql(Struct((Field("c`d", Array(Map("string", "bigint"))),)))
