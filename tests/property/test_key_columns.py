"""Whatever a partition's value is: written into a key as Hive and Spark write it, it comes out again."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st

from libs.common.key_columns import NULL, KeyUnfit, values_of
from libs.common.schema import Field

TYPES: dict[type, tuple[str, Callable[[str], object]]] = {
    int: ("bigint", int),
    float: ("double", float),
    date: ("date", date.fromisoformat),
    datetime: ("timestamp", datetime.fromisoformat),
    bool: ("boolean", lambda text: text == "true"),
}


@given(st.text(min_size=1), st.text(min_size=1).map(str.lower), st.sampled_from(["", "in/", "a=1/b/"]))
def test_a_text_comes_out_as_it_was_put_in(value: str, name: str, prefix: str) -> None:
    """With the characters escaped that a folder cannot hold; the name as well."""
    assume(value != NULL)
    key = f"{prefix}x/{quote(name, safe='')}={quote(value, safe='')}/a.json"
    assert {name: value} == values_of(key, prefix, [Field(name, "string")])


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.dates(),
                 st.datetimes(timezones=st.just(UTC)), st.booleans()))  # fmt: skip
def test_a_value_comes_out_of_its_own_text(value: float | date | datetime) -> None:
    """As a text of the same value."""
    column, read = TYPES[type(value)]
    told = values_of(f"k={quote(str(value), safe='')}/a", "", [Field("k", column)])["k"]
    assert told is not None
    assert value == read(told)


@given(st.text(), st.sampled_from(["string", "int", "date", "decimal(5,2)", "timestamp"]))
def test_any_key_has_a_value_or_a_reason(key: str, type_: str) -> None:
    """And never another error."""
    with suppress(KeyUnfit):
        assert values_of(f"{key}/k={key}/a", "", [Field("k", type_)]).keys() == {"k"}
