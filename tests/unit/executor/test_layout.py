"""The layout of new tables: as the definition says, or as the table was that stood there before."""

from typing import Any

import pytest

from libs.common.contracts.definition import Definition, Destination
from libs.common.errors import Permanent
from libs.common.schema import Field, Struct
from services.executor.adapters import creation_sql
from services.executor.adapters.described import layout_of
from services.executor.domain.layout import (
    ASKED,
    NO_NAMES_FROM_VALUES,
    PLAIN,
    TARGET_FILE_SIZE,
    Layout,
    of_new_table,
    of_next_table,
    unlike,
)

SCHEMA = Struct((Field("id", "bigint"), Field("ts", "string"), Field("a b", "string")))
TIMED = Struct((Field("id", "bigint"), Field("ts", "timestamp"), Field("a b", "string")))


def wanting(*columns: str, **optimization: Any) -> Definition:
    to = {
        "catalog": "lake",
        "database": "demo",
        "table": "t",
        "partitioning": {"enabled": bool(columns), "columns": columns},
        "optimization": optimization,
    }
    body = {"name": "n", "cluster_id": "c", "source": {"path": "s3://landing/"}, "destination": to}
    return Definition.model_validate(body)


def to(*columns: str) -> Destination:
    return wanting(*columns).destination


def test_a_new_table_is_as_the_definition_says() -> None:
    """And remembers what it was asked to be."""
    schema, layout = of_new_table(wanting("days(TS)", "`a b`", target_file_size_bytes=2**27), SCHEMA)
    assert TIMED == schema
    assert ("days(`ts`)", "`a b`") == layout.parts
    said = {TARGET_FILE_SIZE: "134217728", ASKED: "days(TS), `a b`"}
    assert said | NO_NAMES_FROM_VALUES == layout.properties


@pytest.mark.parametrize(("column", "is_text"), [("`a b`", True), ("truncate(4, `a b`)", True), ("id", False)])
def test_a_text_never_becomes_the_name_of_a_folder(column: str, is_text: bool) -> None:
    """It may be longer than a store takes; a number or a day cannot be."""
    _, layout = of_new_table(wanting(column, "bucket(4, ts)"), SCHEMA)
    assert is_text == (layout.properties.items() >= NO_NAMES_FROM_VALUES.items())


def test_nothing_is_said_of_a_table_of_which_nothing_was_asked() -> None:
    """As before there were partitions."""
    assert (SCHEMA, PLAIN) == of_new_table(wanting(), SCHEMA)


def test_a_table_that_cannot_be_is_refused_with_its_entry() -> None:
    """Before anything is made."""
    with pytest.raises(Permanent, match="days") as refused:
        of_new_table(wanting("days(id)"), SCHEMA)
    assert "partition_type" == refused.value.code
    assert "partitioning.columns" in refused.value.hint


OLD = Layout(
    parts=("id", "bucket(4, id)"),
    order=("`id` ASC NULLS FIRST",),
    identifiers=("`id`",),
    properties={"format-version": "3", "owner.team": "x", "schema.name-mapping.default": "[]"},
    comment="ours",
)


def test_the_next_table_is_as_the_old_one_was() -> None:
    """Whoever made it: its partitioning, order, properties and comment; but not what speaks of its column ids."""
    schema, layout = of_next_table(wanting(), SCHEMA, OLD)
    assert SCHEMA == schema
    assert {"format-version": "3", "owner.team": "x"} == layout.properties
    assert (OLD.parts, OLD.order, OLD.identifiers, OLD.comment) == (
        layout.parts,
        layout.order,
        layout.identifiers,
        layout.comment,
    )


def test_a_table_that_its_user_changed_keeps_the_change() -> None:
    """The definition is the same as when the table was made; so the change was meant."""
    _, made = of_new_table(wanting("days(ts)"), SCHEMA)
    changed = Layout(parts=("hours(ts)", "id"), properties={**made.properties, TARGET_FILE_SIZE: "1000"})
    assert (TIMED, changed) == of_next_table(wanting("days(ts)"), TIMED, changed)


def test_a_definition_that_was_changed_since_wins() -> None:
    """Also back to a table without partitions; what it does not speak of stays."""
    _, made = of_new_table(wanting("days(ts)"), SCHEMA)
    schema, layout = of_next_table(wanting("bucket(4, id)"), TIMED, made)
    assert (TIMED, ("bucket(4, `id`)",), {ASKED: "bucket(4, id)"}) == (schema, layout.parts, layout.properties)
    _, layout = of_next_table(wanting(), TIMED, made)
    assert PLAIN == layout
    schema, layout = of_next_table(wanting("days(ts)", target_file_size_bytes=2**20), SCHEMA, OLD)
    assert (TIMED, ("days(`ts`)",)) == (schema, layout.parts)
    assert "1048576" == layout.properties[TARGET_FILE_SIZE]
    assert OLD.order == layout.order


def test_a_table_that_is_partitioned_otherwise_is_told_of() -> None:
    """However it is spelt; also by a transform that we cannot write. Who asks for nothing gets anything."""
    asked = to("days(TS)", "`a b`")
    assert () == unlike("lake.demo.t", asked, ("days(ts)", "`a b`"))
    assert () == unlike("lake.demo.t", to(), ("day",))
    for parts, said in (((), "by nothing"), (("days(ts)", "zone(x, 1)"), "by days(ts), zone(x, 1)")):
        [told] = unlike("lake.demo.t", asked, parts)
        assert said in told
        assert "not by days(TS), `a b`" in told


COLUMNS = Struct(
    (
        Field("Comment", "string"),
        Field("a, b ASC", "string"),
        Field("s", Struct((Field("x", "bigint"), Field("y z", "bigint")))),
        Field("s.x", "bigint"),
    )
)
DESCRIBED = [
    *((f.name, "string") for f in COLUMNS.fields),
    ("", ""),
    ("# Partitioning", ""),
    ("Part 0", "days(ts)"),
    ("Part 1", "void(old)"),
    ("Part 2", "`a, b ASC`"),
    ("", ""),
    ("Comment", "it's"),
]


def test_a_layout_is_read_from_what_spark_says() -> None:
    """A column may be called like a line of the answer, or like a word of an order."""
    order = (
        "a, b ASC DESC NULLS LAST, bucket(8, s.y z) ASC NULLS FIRST, truncate(a, b ASC, 2) ASC NULLS FIRST, "
        "Comment ASC NULLS LAST"
    )
    properties = {
        "format": "iceberg/parquet",
        "format-version": "2",
        "current-snapshot-id": "7",
        "write.wap.enabled": "true",
        "write.data.path": "s3://x/y",
        "sort-order": order,
        "identifier-fields": "[Comment,s.y z]",
        "mine": "x",
    }
    found = layout_of(DESCRIBED, properties, COLUMNS)
    assert ("days(ts)", "`a, b ASC`") == found.parts
    assert (
        "`a, b ASC` DESC NULLS LAST",
        "bucket(8, `s`.`y z`) ASC NULLS FIRST",
        "truncate(2, `a, b ASC`) ASC NULLS FIRST",
        "`Comment` ASC NULLS LAST",
    ) == found.order
    assert ("`Comment`", "`s`.`y z`") == found.identifiers
    assert ({"format-version": "2", "mine": "x"}, "it's") == (found.properties, found.comment)


def test_an_order_of_columns_that_are_said_alike_is_left_out() -> None:
    """Rather none than one by another column."""
    found = layout_of(DESCRIBED, {"sort-order": "s.x ASC NULLS FIRST", "identifier-fields": "[s.x]"}, COLUMNS)
    assert ((), ()) == (found.order, found.identifiers)


def test_an_order_does_not_change_how_rows_are_distributed() -> None:
    """Iceberg's statement does; so what was said of it is said again."""
    ordered = Layout(order=("`id` ASC NULLS FIRST",))
    assert "UNSET" in list(creation_sql.settle(to(), ordered))[-1]
    hashed = Layout(order=ordered.order, properties={creation_sql.DISTRIBUTION: "hash"})
    assert "'hash'" in list(creation_sql.settle(to(), hashed))[-1]
    assert [] == list(creation_sql.settle(to(), PLAIN))
