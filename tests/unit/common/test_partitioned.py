"""Which columns a table can be partitioned by, and what is said when it cannot."""

from typing import Any

import pytest

from libs.common.contracts.partitioning import parse, parse_all
from libs.common.contracts.schema_rules import SchemaRules
from libs.common.partitioned import fit
from libs.common.schema import Array, Field, Struct

SCHEMA = Struct(
    (
        Field("id", "bigint"),
        Field("Seen", "string"),
        Field("price", "double"),
        Field("tags", Array("string")),
        Field("meta", Struct((Field("at", "string"), Field("day", "date")))),
    )
)


def test_names_are_those_of_the_table_in_any_spelling() -> None:
    """No table has two that differ in case only."""
    found = fit(SCHEMA, parse_all(["ID", "META.Day"]))
    assert (("id", "meta.day"), ()) == (tuple(map(str, found.parts)), found.misfits)
    assert SCHEMA == found.schema


def test_a_text_whose_time_is_taken_becomes_a_timestamp() -> None:
    """JSON has no times; who partitions by days says which texts are some. Inside of objects as well."""
    found = fit(SCHEMA, parse_all(["days(seen)", "months(meta.at)", "bucket(4, seen)"]))
    assert () == found.misfits
    meta = found.schema.get("meta")
    assert meta is not None
    assert isinstance(meta.type, Struct)
    assert ["bigint", "timestamp", "double"] == [f.type for f in found.schema.fields[:3]]
    assert ["timestamp", "date"] == [f.type for f in meta.type.fields]


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        ("gone", "partition_column_missing", "no field gone (they have id, Seen, price, tags, meta)"),
        ("meta.gone", "partition_column_missing", "no field meta.gone"),
        ("id.x", "partition_column_missing", "no field id.x"),
        ("tags.element", "partition_column_missing", "no field tags.element"),
        ("days(id)", "partition_type", "needs a date or a timestamp; id is bigint"),
        ("hours(meta.day)", "partition_type", "needs a timestamp; meta.day is date"),
        ("bucket(4, price)", "partition_type", "price is double"),
        ("truncate(4, price)", "partition_type", "price is double"),
        ("tags", "partition_type", "tags is array<string>"),
        ("meta", "partition_type", "no object, array or map"),
    ],
)
def test_what_does_not_fit_is_named(entry: str, code: str, said: str) -> None:
    """With the entry as the user wrote it."""
    [misfit] = fit(SCHEMA, [parse(entry)]).misfits
    assert code == misfit.code
    assert f"has {entry}" in misfit.message
    assert said in misfit.message


def test_a_field_with_the_name_of_a_partition_is_in_the_way() -> None:
    """Iceberg keeps both in one room."""
    schema = Struct((Field("ts", "timestamp"), Field("ts_day", "string")))
    [misfit] = fit(schema, [parse("days(ts)")]).misfits
    assert ("partition_name_taken", "'ts_day'" in misfit.message) == (misfit.code, True)
    assert () == fit(schema, [parse("ts_day")]).misfits


def test_the_first_of_many_columns_are_named() -> None:
    """A wide table must not fill a screen."""
    schema = Struct(tuple(Field(f"c{n}", "bigint") for n in range(30)))
    [misfit] = fit(schema, [parse("gone")]).misfits
    assert "c9, …" in misfit.message
    assert "c10" not in misfit.message


@pytest.mark.parametrize(
    "rules",
    [
        {"hints": {"seen": "string"}},
        {"inference": "manual", "schema_json": "id bigint, Seen string"},
    ],
)
def test_a_text_that_its_user_calls_a_text_stays_one(rules: dict[str, Any]) -> None:
    """Both words are the user's, and they do not go together."""
    [misfit] = fit(SCHEMA, [parse("days(seen)")], SchemaRules.model_validate(rules)).misfits
    assert "partition_type" == misfit.code
    assert () == fit(SCHEMA, [parse("days(seen)")], SchemaRules.model_validate({"hints": {"id": "int"}})).misfits
