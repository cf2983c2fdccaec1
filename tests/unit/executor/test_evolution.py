"""What the rules make of what a staging pass found: decisions as a table."""

from typing import get_args

import pytest

from libs.common.contracts.schema_rules import EvolutionMode, SchemaRules
from libs.common.ddl import parse_columns
from libs.common.errors import Permanent
from libs.common.ledger.model.columns import Decisions
from libs.common.schema import Field, Map, Struct
from libs.common.schema_maps import NAMES_MAX
from services.executor.domain.audit import Staged
from services.executor.domain.evolution import (
    Rules,
    allowed,
    asked_for,
    asked_of,
    growth,
    hidden,
    overruled,
    refusals,
    suspects,
)
from services.executor.domain.provenance import is_from_key
from services.executor.domain.schema_change import SchemaChange, Widening, compare, widened, with_widenings

A, B = b"a", b"b"
STAGED = Staged(1, 0, {}, {A: frozenset({"x"})}, misfits={B: frozenset({"n"})})
TABLE = parse_columns("id int, n int, price decimal(4,2)")


def rules(mode: EvolutionMode, **hints: str) -> Rules:
    return Rules.of(SchemaRules(schema_evolution_mode=mode, hints=hints), Decisions())


def holding(*, approved: tuple[str, ...] = (), rejected: tuple[str, ...] = (), **hints: str) -> Rules:
    decided = Decisions(frozenset(approved), frozenset(rejected))
    return Rules.of(SchemaRules(hold_new_columns=True, hints=hints), decided)


@pytest.mark.parametrize(
    ("mode", "files"),
    [
        ("add_new_columns", {A}),
        ("add_new_columns_with_type_widening", {A, B}),
        ("rescue", set()),
        ("fail_on_new_columns", set()),
        ("none", set()),
    ],
)
def test_only_files_that_may_let_the_columns_grow_are_read_again(mode: EvolutionMode, files: set[bytes]) -> None:
    """In most modes none is: the data is read once."""
    assert files == suspects(rules(mode), STAGED)


def test_only_a_column_whose_value_did_not_fit_is_widened() -> None:
    """Inference calls every whole number a bigint."""
    found = parse_columns("id bigint, n bigint")
    change = growth(rules("add_new_columns_with_type_widening"), TABLE, found, STAGED)
    assert SchemaChange(widenings=(Widening(("n",), "int", "bigint"),)) == change
    assert not growth(rules("add_new_columns"), TABLE, found, STAGED).grows


def test_a_column_whose_values_look_like_text_together_is_tried_wider() -> None:
    """In all that it has; what inference widens already, and what nothing did not fit into, is not tried."""
    table = parse_columns("id int, n int, s struct<a: int, b: array<float>, c: map<string, decimal(4,2)>, d: bigint>")
    staged = Staged(1, 0, {}, {}, misfits={A: frozenset({"n", "s"})})
    wide = rules("add_new_columns_with_type_widening")
    inside = (
        Widening(("s", "a"), "int", "bigint"),
        Widening(("s", "b", "element"), "float", "double"),
        Widening(("s", "c", "value"), "decimal(4,2)", "decimal(38,2)"),
    )
    n = Widening(("n",), "int", "bigint")
    assert (n, *inside) == hidden(wide, table, SchemaChange(), staged)
    assert inside == hidden(wide, table, SchemaChange(widenings=(n,)), staged)
    assert () == hidden(rules("add_new_columns"), table, SchemaChange(), staged)


def test_what_was_tried_is_widened_where_it_helps() -> None:
    """One record more that fits is enough."""
    n, m = Widening(("n",), "int", "bigint"), Widening(("m",), "int", "bigint")
    assert (n,) == asked_for((n, m), {"n": 2, "m": 2}, {"n": 1, "m": 2})
    assert () == asked_for((n,), {}, {})


def test_a_column_may_outgrow_its_hint() -> None:
    """And is not held against it afterwards, while types may be widened."""
    wide = rules("add_new_columns_with_type_widening", n="int")
    assert ("n",) == growth(wide, TABLE, parse_columns("n bigint"), STAGED).widenings[0].path
    assert () == asked_of("t", parse_columns("n bigint"), wide)
    with pytest.raises(Permanent, match="has n as bigint"):
        asked_of("t", parse_columns("n bigint"), rules("add_new_columns", n="int"))


def test_new_columns_get_the_types_of_their_hints() -> None:
    """Whatever their values look like."""
    change = growth(rules("add_new_columns", x="date"), TABLE, parse_columns("x string"), STAGED)
    assert [(("x",), "date")] == [(a.path, a.type) for a in change.additions]


@pytest.mark.parametrize(
    ("table", "found", "wider"),
    [
        ("int", "bigint", "bigint"),
        ("float", "double", "double"),
        ("int", "double", None),
        ("bigint", "double", None),
        ("bigint", "int", None),
        ("decimal(4,2)", "decimal(6,2)", "decimal(6,2)"),
        ("decimal(4,2)", "decimal(6,1)", "decimal(7,2)"),
        ("decimal(4,2)", "decimal(6,3)", None),
        ("decimal(4,2)", "decimal(3,2)", None),
        ("decimal(4,2)", "bigint", "decimal(38,2)"),
        ("decimal(38,2)", "bigint", None),
        ("decimal(4,2)", "boolean", None),
        ("date", "timestamp", None),
    ],
)
def test_types_become_what_iceberg_can_make_of_them(table: str, found: str, wider: str | None) -> None:
    """Without rewriting a row, and without losing a digit."""
    assert wider == widened(table, found)


def test_a_widened_type_needs_no_more_widening() -> None:
    """One round is enough, at any depth."""
    table = parse_columns("a int, s struct<b: float, l array<struct<c: decimal(4,2)>>>, m map<string, int>")
    found = parse_columns("a bigint, s struct<b: double, l array<struct<c: bigint>>>, m map<string, bigint>")
    widenings = compare(table, found).widenings
    assert ["a", "s.b", "s.l.element.c", "m.value"] == [w.name for w in widenings]
    assert not compare(with_widenings(table, widenings), found).grows


def test_a_file_with_new_fields_is_refused_where_that_is_the_rule() -> None:
    """With a few of them, if there are many."""
    many = Staged(1, 0, {}, {A: frozenset(f"f{n}" for n in range(9))})
    refusal = refusals(rules("fail_on_new_columns"), many, SchemaChange())[A]
    assert "new_columns" == refusal.error_type
    assert "'f4' and 4 more" in refusal.message
    assert {} == refusals(rules("none"), many, SchemaChange())


def test_a_hint_that_the_table_contradicts_is_told_with_both_types() -> None:
    """Unless it is a wider one, and types may be widened."""
    with pytest.raises(Permanent, match=r"has n as int, and .* says bigint"):
        asked_of("t", TABLE, rules("add_new_columns", n="bigint"))
    with pytest.raises(Permanent, match="says string"):
        asked_of("t", TABLE, rules("add_new_columns_with_type_widening", n="string"))
    asked = asked_of("t", TABLE, rules("add_new_columns_with_type_widening", n="bigint", id="int", later="date"))
    assert (Widening(("n",), "int", "bigint"),) == asked


FOUND = parse_columns("x string, meta struct<a: int, b: int>, y date")
NEW = Staged(1, 0, {}, {A: frozenset({"x", "y"}), B: frozenset({"meta"})})


def test_what_somebody_holds_waits_for_a_word_and_what_has_a_hint_does_not() -> None:
    """Approved ones are added, and only the files of the others wait."""
    held = holding(approved=("meta",), y="date")
    wanted = growth(held, TABLE, FOUND, NEW)
    assert ["meta", "y"] == [a.name for a in allowed(held, wanted).additions]
    left = SchemaChange(tuple(a for a in wanted.additions if not held.approves(a.path)))
    [(digest, refusal)] = refusals(held, NEW, left).items()
    assert (A, "new_columns_held", True) == (digest, refusal.error_type, refusal.waits)
    assert "'x'" in refusal.message
    assert "'y'" not in refusal.message


def test_a_rejected_field_is_no_reason_to_look_again() -> None:
    """Nor does it become a column, whatever says so; nor is it one of a new table."""
    decided = holding(rejected=("x", "y"), approved=("x",), y="date")
    assert {B} == suspects(decided, NEW)
    assert ["meta"] == [a.name for a in growth(decided, TABLE, FOUND, NEW).additions]
    assert ["meta"] == [f.name for f in decided.first(FOUND).fields]


def test_a_rejected_column_that_the_table_has_is_not_filled() -> None:
    """Unless the table takes no row without it."""
    table = parse_columns("id int, x string, y date not null")
    assert ["id", "y"] == [f.name for f in holding(rejected=("x", "y")).reading(table).fields]


def keyed(mode: EvolutionMode = "add_new_columns", **hints: str) -> Rules:
    return Rules.of(SchemaRules(schema_evolution_mode=mode, hints=hints), Decisions(), ("year", "Day"))


def test_a_new_table_has_the_columns_of_keys_behind_those_of_records() -> None:
    """Texts unless somebody said otherwise; what a record has under such a name makes no column."""
    found = parse_columns("YEAR bigint, id int")
    assert parse_columns("id int, year string, Day date") == keyed(day="date").first(found)
    given = Rules.of(
        SchemaRules(inference="manual", schema_json="day int not null, id int"), Decisions(), ("year", "Day")
    )
    assert parse_columns("day int not null, id int, year string") == given.given


def test_a_table_that_lacks_such_a_column_is_given_it() -> None:
    """Once, and not after somebody turned it away."""
    assert ["year"] == [f.name for f in keyed().lacking_keyed(parse_columns("id int, DAY int"))]
    turned_away = Rules.of(SchemaRules(), Decisions(rejected=frozenset({"year"})), ("year",))
    assert () == turned_away.lacking_keyed(TABLE)


def test_keys_fill_columns_of_single_values_alone() -> None:
    """Any other is refused, with what it is."""
    known = keyed().reading(parse_columns("id int, year int, Day date"))
    assert ["year", "Day"] == [f.name for f in known.fields if is_from_key(f)]
    with pytest.raises(Permanent, match="has DAY as array<int>") as refused:
        keyed().reading(parse_columns("DAY array<int>"))
    assert "partition_column_type" == refused.value.code


@pytest.mark.parametrize("mode", get_args(EvolutionMode))
def test_a_field_that_a_key_overrules_is_told_and_stands_in_nobodys_way(mode: EvolutionMode) -> None:
    """Whatever the mode: it is no reason to look again, to add a column, or to refuse its file."""
    rules, table = keyed(mode), parse_columns("id int, year int, day int")
    staged = Staged(1, 0, {}, {A: frozenset({"Year"}), B: frozenset({"day"})})
    assert set() == suspects(rules, staged)
    change = growth(rules, table, parse_columns("id int, Year string, day struct<a: int>"), staged)
    assert SchemaChange() == change
    assert {} == refusals(rules, staged, change)
    one, other = overruled(rules, table, staged)
    assert "'Year'" in one
    assert "left out" in other


def test_new_columns_of_json_may_be_maps() -> None:
    """The first ones and later ones; an object that the table has as a struct goes on as one."""
    wide = Struct(tuple(Field(f"n{n}", "bigint") for n in range(NAMES_MAX + 1)))
    found = Struct((Field("id", "int"), Field("o", wide)))
    finds = Rules.of(SchemaRules(), Decisions(), finds_maps=True)
    assert parse_columns("id int, o map<string, bigint>") == finds.first(found)
    assert found == Rules.of(SchemaRules(), Decisions()).first(found)
    [added] = growth(finds, TABLE, found, STAGED).additions
    assert (("o",), Map("string", "bigint")) == (added.path, added.type)
    more = growth(finds, parse_columns("id int, o struct<n0: bigint>"), found, STAGED)
    assert NAMES_MAX == len(more.additions)
    assert not growth(finds, parse_columns("id int, o map<string, bigint>"), found, STAGED).grows
