"""What people write for types, columns and paths, and how a refusal reads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ddl import columns_of, keys_that_are_no_text, parse_columns, parse_path, parse_type, written_path
from libs.common.schema import Array, Field, Map, Struct, Type, sql, to_json

SCALARS = st.sampled_from(
    ["bigint", "int", "double", "float", "string", "boolean", "date", "timestamp", "decimal(9,2)"]
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5)


def structs(types: st.SearchStrategy[Type]) -> st.SearchStrategy[Struct]:
    fields = st.builds(Field, NAMES, types)
    return st.lists(fields, min_size=1, max_size=3, unique_by=lambda f: f.name.lower()).map(lambda f: Struct(tuple(f)))


TYPES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: structs(inner) | inner.map(Array) | inner.map(lambda v: Map("string", v)), max_leaves=6
)


@given(TYPES)
def test_what_sql_shows_of_a_type_reads_back_as_the_type(found: Type) -> None:
    """So that a type can be copied from an answer into a hint."""
    assert found == parse_type(sql(found))


@given(structs(TYPES))
def test_the_json_of_a_struct_type_reads_back_as_its_columns(found: Struct) -> None:
    """As ``StructType.json()`` writes it."""
    assert found == columns_of(to_json(found))


@given(st.lists(NAMES, min_size=1, max_size=4).map(tuple))
def test_a_path_reads_back_whatever_its_names_hold(path: tuple[str, ...]) -> None:
    """Dots and backticks included."""
    assert path == parse_path(written_path(path))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("LONG", "bigint"),
        ("smallint", "int"),
        ("Real", "float"),
        ("varchar(10)", "string"),
        ("numeric", "decimal(10,0)"),
        ("decimal( 5 )", "decimal(5,0)"),
        ("timestamp_ltz", "timestamp"),
        ("map<string,array<int>>", Map("string", Array("int"))),
        ("struct<a:int, `b c` date>", Struct((Field("a", "int"), Field("b c", "date")))),
    ],
)
def test_every_name_of_a_type_becomes_the_one_that_a_table_shows(written: str, found: Type) -> None:
    """Otherwise a hint would contradict the column that it made."""
    assert found == parse_type(written)


def test_columns_may_be_required_and_have_comments() -> None:
    """As in CREATE TABLE. The comment is not kept: in a table, it marks columns of ours."""
    assert Struct((Field("id", "bigint", required=True), Field("name", "string"))) == parse_columns(
        "id bigint NOT NULL COMMENT 'it\\'s the key', name: string"
    )


@pytest.mark.parametrize(
    "written",
    ["", "int x", "array<int", "map<string>", "struct<>", "int(3)", "decimal(39)", "decimal(3,4)", "decimal(1,1,1)",
     "decimal(x)", "interval", "struct<a: int, A: int>", "array<" * 60 + "int" + ">" * 60],
)  # fmt: skip
def test_what_is_no_type_is_refused(written: str) -> None:
    """With words, not with a crash."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_type(written)


@pytest.mark.parametrize("given", ["a", "a int, A int", {}, {"type": "struct"}, {"type": "struct", "fields": []},
                                   {"type": "array", "elementType": "long"}, {"type": "struct", "fields": [3]},
                                   {"type": "struct", "fields": [{"name": "a", "type": "array<int>"}]},
                                   {"type": "struct", "fields": [{"name": "a", "type": {"type": "udt"}}]}])  # fmt: skip
def test_what_names_no_columns_is_refused(given: Any) -> None:
    """Also JSON that is not Spark's."""
    with pytest.raises(ValueError, match=r"\w"):
        columns_of(given)


@pytest.mark.parametrize("written", ["", ".", ".a", "a.", "a..b", "`a`b", "`a"])
def test_what_is_no_path_is_refused(written: str) -> None:
    """The message shows a path."""
    with pytest.raises(ValueError, match=r"meta\.ts"):
        parse_path(written)


def test_a_map_whose_keys_are_no_text_is_found_wherever_it_is() -> None:
    """JSON has no such keys."""
    assert keys_that_are_no_text(parse_type("struct<a: array<map<string, map<int, string>>>>"))
    assert not keys_that_are_no_text(parse_type("struct<a: array<map<string, map<string, int>>>>"))
