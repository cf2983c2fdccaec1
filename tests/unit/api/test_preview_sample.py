"""What a sample says: columns with evidence, rows as the table would hold them, and warnings."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.definition import Definition, Partitioning, Source
from libs.common.contracts.schema_rules import SchemaRules
from services.api.preview.inference import Place
from services.api.preview.lines import Head
from services.api.preview.listing import Listed
from services.api.preview.sample import Sample
from services.api.preview.schemas import Preview, preview_of
from services.api.preview.shown import CHARS_MAX, shown
from services.api.preview.warnings import warnings_of
from tests.unit.api.test_preview_listing import NOW, file

SOURCE = Source(path="s3://landing/in/", file_pattern="*.json")


DEFINITION = Definition.model_validate(
    {
        "name": "n",
        "cluster_id": "c",
        "source": SOURCE,
        "destination": {"catalog": "lake", "database": "demo", "table": "t", "metadata_columns": ["_loaded_at"]},
    }
)


def previewed(
    files: dict[str, list[Any]],
    *,
    head: dict[str, Any] | None = None,
    asked: int | None = None,
    partitioned_by: tuple[str, ...] = (),
    kind: str = "json",
    keyed: tuple[str, ...] = (),
    **rules: Any,
) -> Preview:
    """``files``: for each key its lines; what is not bytes is written as JSON."""
    listed, sample = Listed(SOURCE, NOW, 20), Sample(SchemaRules.model_validate(rules), SOURCE.prefix, keyed)
    listed.add([file(key) for key in files])
    listed.is_complete = True
    for key, lines in files.items():
        raw = tuple(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        sample.add(key, Head(raw, **(head or {})), sum(map(len, raw)))
    to = DEFINITION.destination.model_copy(
        update={"partitioning": Partitioning(enabled=bool(partitioned_by), columns=partitioned_by)}
    )
    definition = DEFINITION.model_copy(
        update={
            "destination": to,
            "format": DEFINITION.format.model_copy(
                update={"type": kind, "schema_rules": SchemaRules.model_validate(rules)}
            ),
        }
    )
    warnings = warnings_of(definition, listed, sample, len(files) if asked is None else asked, "at most so much")
    return preview_of(listed, sample, warnings, 0.5)


def codes(preview: Preview) -> list[str]:
    return [warning.code for warning in preview.warnings]


def column(preview: Preview, name: str) -> dict[str, Any]:
    return next(c.model_dump() for c in preview.columns if c.name == name)


def test_files_that_describe_themselves_are_not_looked_into() -> None:
    """Nothing is said of their columns, and that is said."""
    preview = previewed({"in/a.json": []}, kind="parquet")
    assert (["not_looked_into"], []) == (codes(preview), list(preview.columns))
    assert "parquet files" in preview.warnings[0].message


def test_a_column_comes_with_its_evidence() -> None:
    """Type, share of nulls, an example, in how many files, and in which first."""
    preview = previewed({"in/a.json": [{"id": 1}, {"id": 2, "x": None}], "in/b.json": [{"id": 3, "x": 0.5}, {"id": 4}]})
    x = {"type": "double", "null_share": 0.75, "example": 0.5, "files": 2, "first_file": "in/a.json"}
    assert {"name": "x", **x} == column(preview, "x")
    assert ("bigint", 0.0, 1, 2) == tuple(column(preview, "id")[n] for n in ("type", "null_share", "example", "files"))
    assert {"id": 1, "x": None} == preview.sample_rows[0]
    assert [] == preview.warnings


@pytest.mark.parametrize(
    ("rules", "columns"),
    [
        ({"hints": {"ID": "int", "day": "date"}}, {"id": "int", "x": "double", "day": "date"}),
        ({"inference": "manual", "schema_json": "n int, id string"}, {"n": "int", "id": "string", "x": "double"}),
        ({"inference": "manual", "schema_json": "n int", "evolution_enabled": False}, {"n": "int"}),
    ],
)
def test_what_the_definition_says_of_columns_counts_for_more(rules: dict[str, Any], columns: dict[str, str]) -> None:
    """Than what the lines look like: these are the columns that the table would get."""
    preview = previewed({"in/a.json": [{"id": 1, "x": 0.5}]}, **rules)
    assert columns == {c.name: c.type for c in preview.columns}


def test_values_of_several_types_are_told_with_the_files() -> None:
    """And shown as the text that the table would hold."""
    preview = previewed({"in/a.json": [{"v": 1}], "in/b.json": [{"v": "x"}, {"v": {"w": True}}]})
    assert "string" == column(preview, "v")["type"]
    assert [{"v": "1"}, {"v": "x"}, {"v": '{"w": true}'}] == preview.sample_rows
    (warning,) = preview.warnings
    assert "mixed_types" == warning.code
    assert "bigint first in in/a.json, string first in in/b.json" in warning.message


def test_mixed_types_below_the_root_are_found_too() -> None:
    """By their dotted name."""
    assert "'o.l.element'" in previewed({"in/a.json": [{"o": {"l": [1, "x"]}}]}).warnings[0].message


def test_names_that_differ_in_case_only_are_told() -> None:
    """One of them becomes a column."""
    preview = previewed({"in/a.json": [{"Id": 1, "id": 2}]})
    assert (["names_differ_in_case"], ["Id"]) == (codes(preview), [c.name for c in preview.columns])


def test_lines_that_are_no_record_are_told_by_number() -> None:
    """The first of each file; blank lines count as lines."""
    preview = previewed({"in/a.json": [b"", {"a": 1}, b"{", b"hello"], "in/b.json": [{"a": 2}]})
    (warning,) = preview.warnings
    assert ("bad_lines", 2) == (warning.code, preview.sample.bad_lines)
    assert "in/a.json: line 3" in warning.message
    assert "1 more" in warning.message


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"in/a.json": [{"a": None}]}, "only_nulls"),
        ({"in/a.json": [{"a": 1}, {"a": ""}]}, "empty_texts"),
        ({"in/a.json": [b" "]}, "no_records"),
        ({"in/a.json": [{f"k{n}": 1 for n in range(501)}]}, "many_columns"),
        ({"in/_a.json": [], "in/b.json": [{"a": 1}]}, "unreadable_keys"),
        ({}, "nothing_there"),
        ({"in/a.jsonl": []}, "nothing_matches"),
    ],
)
def test_what_is_strange_is_warned_of(files: dict[str, list[Any]], code: str) -> None:
    """With something to do about it."""
    preview = previewed(files, asked=len(files))
    assert code in codes(preview)
    assert all(warning.hint for warning in preview.warnings)


def test_a_mistaken_pattern_is_corrected() -> None:
    """By what there is."""
    assert "*.jsonl" in previewed({"in/a.jsonl": [], "in/b.jsonl": [], "in/c.txt": []}).warnings[0].hint


def test_every_bound_that_cut_the_sample_is_told() -> None:
    """Bytes or lines of a file, files, and time."""
    rows = {"in/a.json": [{"a": 1}]}
    assert ["sample_is_a_part"] == codes(previewed(rows, head={"is_all": False}))
    assert ["sample_cut"] == codes(previewed(rows, asked=2))
    assert ["not_looked_into"] == codes(previewed(rows, head={"problem": "it is cut short"}))


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        (1, "double", 1.0),
        (True, "string", "true"),
        ("a\0b", "string", "a\ufffdb"),
        ("\ud800", "string", "?"),
        ("x" * 500, "string", "x" * (CHARS_MAX - 1) + "…"),
        (float("inf"), "double", "inf"),
        ([1, 2], "array<bigint>", [1, 2]),
        ([float("inf")], "array<double>", "[Infinity]"),
        (None, "string", None),
    ],
)
def test_values_are_shown_as_their_column_holds_them(value: Any, found: str, expected: Any) -> None:
    """Short, and without what JSON or Postgres cannot hold."""
    assert expected == shown(value, found)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "A", "b", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(st.lists(OBJECTS, max_size=6), st.randoms())
def test_the_order_of_lines_and_files_does_not_matter(objects: list[Any], random: Any) -> None:
    """What one listing shows first, another one may show last."""

    def schema() -> Any:
        places = Place()
        for n, value in enumerate(objects):
            places.see(value, str(n))
        return places.struct

    first = schema()
    random.shuffle(objects)
    assert first == schema()


@given(OBJECTS)
def test_whatever_a_record_holds_can_be_stored_as_json(record: dict[str, Any]) -> None:
    """As Postgres and strict readers take it."""
    preview = previewed({"in/a.json": [record]})
    text = json.dumps(preview.model_dump(mode="json", by_alias=True), allow_nan=False)
    assert "\\u0000" not in text


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (("days(gone)",), ["partition_column_missing"]),
        (("hours(id)",), ["partition_type"]),
        (("days(AT)", "at"), ["text_becomes_time"]),
        (("id", "bucket(4, at)", "days(_loaded_at)"), []),
    ],
)
def test_partitions_that_the_files_do_not_fit_are_told(columns: tuple[str, ...], expected: list[str]) -> None:
    """Before a run finds it; a column of ours is in no file."""
    preview = previewed({"in/a.json": [{"id": 1, "at": "2025-01-07"}]}, partitioned_by=columns)
    assert expected == codes(preview)
    assert all(columns[0].lower() in warning.message for warning in preview.warnings)


def test_nothing_is_said_of_partitions_when_no_record_was_seen() -> None:
    """That there is none is told already."""
    assert ["no_records"] == codes(previewed({"in/a.json": []}, partitioned_by=("id",)))


def test_columns_are_filled_from_keys() -> None:
    """In the types of their hints; a key counts for more than a field, and one that does not fit is named."""
    preview = previewed(
        {
            "in/year=2025/month=01/a.json": [{"id": 1, "Month": "x"}],
            "in/month=02/b.json": [{"id": 2}],
            "in/year=old/c.json": [{"id": 3}],
        },
        keyed=("year", "month"),
        hints={"year": "int"},
    )
    assert [("id", "bigint"), ("year", "int"), ("month", "string")] == [(c.name, c.type) for c in preview.columns]
    assert [
        {"id": 1, "year": 2025, "month": "01"},
        {"id": 2, "year": None, "month": "02"},
    ] == preview.sample_rows
    assert ["key_does_not_fit", "field_overruled"] == codes(preview)
    assert "year=old is no int" in preview.warnings[0].message


def test_an_object_whose_names_are_data_is_a_map() -> None:
    """As in the table that a run would make."""
    record = {"id": 1, "clicks": {f"page-{n}": n for n in range(101)}}
    assert "map<string, bigint>" == column(previewed({"in/a.json": [record]}), "clicks")["type"]
    hinted = previewed({"in/a.json": [record]}, hints={"clicks.page-7": "int"})
    assert column(hinted, "clicks")["type"].startswith("struct<")
