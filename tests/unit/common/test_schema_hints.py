"""Hints count for more than what values look like."""

import pytest

from libs.common.ddl import parse_columns, parse_type
from libs.common.schema_hints import at, hinted, parse_hints

COLUMNS = "Price double, meta struct<ts: string, n: bigint>, items array<struct<price: double>>, s string"
FOUND = parse_columns(COLUMNS)


@pytest.mark.parametrize(
    ("hints", "instead", "told"),
    [
        ({"price": "decimal(10,2)"}, "Price double", "Price decimal(10,2)"),
        ({"meta.ts": "timestamp", "meta.more": "int"}, "ts: string, n: bigint", "ts: timestamp, n: bigint, more: int"),
        ({"items.element.price": "float"}, "price: double", "price: float"),
        ({"meta": "map<string,int>"}, "struct<ts: string, n: bigint>", "map<string,int>"),
        ({"meta.value": "int", "meta": "map<string,date>"}, "struct<ts: string, n: bigint>", "map<string,int>"),
        ({"later": "date"}, "s string", "s string, later date"),
    ],
)
def test_a_hint_gives_a_field_its_type(hints: dict[str, str], instead: str, told: str) -> None:
    """Under the data's spelling; what is said of a field counts before what is said of its inside."""
    assert parse_columns(COLUMNS.replace(instead, told)) == hinted(FOUND, parse_hints(hints))


@pytest.mark.parametrize("path", ["absent.inside", "s.inside", "items.value", "items.price"])
def test_a_hint_for_what_lies_in_something_else_waits(path: str) -> None:
    """There is no place for the field yet."""
    assert FOUND == hinted(FOUND, parse_hints({path: "int"}))


def test_a_type_is_found_by_its_path_whatever_the_case() -> None:
    """As a hint finds it."""
    assert "double" == at(FOUND, ("ITEMS", "element", "Price"))
    assert parse_type("struct<ts: string, n: bigint>") == at(FOUND, ("META",))
    assert at(FOUND, ("meta", "nothing")) is None
    assert at(FOUND, ("items", "price")) is None


def test_a_hint_that_cannot_be_read_is_named() -> None:
    """There may be fifty."""
    with pytest.raises(ValueError, match=r"the hint for 'meta\.ts': .*'tiemstamp'"):
        parse_hints({"a": "int", "meta.ts": "tiemstamp"})
