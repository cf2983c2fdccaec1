"""What is told of the change from one version of a table's columns to the next."""

from hypothesis import given
from hypothesis import strategies as st

from libs.common.schema_diff import Difference, differences

TYPES = st.sampled_from(
    ["bigint", "int", "struct<a: bigint>", "struct<a: bigint, b: string>", "array<int>", "interval"]
)
COLUMNS = st.dictionaries(st.sampled_from("abcd"), TYPES)


def test_each_change_is_told_with_its_path() -> None:
    """New, changed and gone, also further in; what is new is told as a whole."""
    before = {"id": "int", "meta": "struct<`a`: int, `old`: date>", "l": "array<struct<`x`: int>>", "gone": "string"}
    now = {
        "id": "bigint",
        "meta": "struct<`a`: int, `b`: string>",
        "l": "array<struct<`x`: bigint>>",
        "a.b": "struct<`c`: int>",
    }
    assert (
        Difference("changed", "id", "bigint", "int"),
        Difference("added", "meta.b", "string"),
        Difference("dropped", "meta.old", before="date"),
        Difference("changed", "l.element.x", "bigint", "int"),
        Difference("added", "`a.b`", "struct<`c`: int>"),
        Difference("dropped", "gone", before="string"),
    ) == differences(before, now)


def test_a_type_that_no_file_could_have_is_compared_as_text() -> None:
    """Somebody made the table."""
    assert (Difference("changed", "a", "int", "interval day"),) == differences({"a": "interval day"}, {"a": "int"})


@given(COLUMNS, COLUMNS)
def test_nothing_is_told_of_columns_that_stayed(before: dict[str, str], now: dict[str, str]) -> None:
    """And something is of each that did not."""
    told = {d.column.split(".")[0] for d in differences(before, now)}
    assert told == {name for name in before | now if before.get(name) != now.get(name)}
