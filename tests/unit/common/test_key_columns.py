"""What keys say for columns: which folders count, what their texts mean, and what does not fit."""

import pytest

from libs.common.key_columns import KeyUnfit, takes_keys, values_of, with_key_columns
from libs.common.schema import Array, Field, Struct
from libs.common.schema_hints import Hint

YEAR = Field("year", "string")


def told(key: str, *columns: Field, prefix: str = "in/") -> dict[str, str | None]:
    return values_of(key, prefix, columns or (YEAR,))


@pytest.mark.parametrize(
    ("key", "year"),
    [
        ("in/year=2025/a.json", "2025"),
        ("in/x/year=2025/y/a.json", "2025"),
        ("in/YEAR=0025/a.json", "0025"),
        ("in/year=a=b/a.json", "a=b"),
        ("in/year=a%2Fb%3D+c%25/a.json", "a/b=+c%"),
        ("in/year=M%C3%A4rz/a.json", "März"),
        ("in/year=März/a.json", "März"),
        ("in/%79ear=1/a.json", "1"),
        ("in/year=50%/a.json", "50%"),
        ("in/year=__HIVE_DEFAULT_PARTITION__/a.json", None),
        ("in/year=/a.json", None),
        ("in/a.json", None),
        ("in/year=2025.json", None),
        ("in/the_year=2025/a.json", None),
        ("in/year/a.json", None),
    ],
)
def test_a_folder_below_the_path_is_a_value(key: str, year: str | None) -> None:
    """Decoded once, whatever the case of its name; the file's own name is no folder."""
    assert {"year": year} == told(key)


def test_only_what_is_below_the_path_counts() -> None:
    """The path is the same for all files, and is not of the data."""
    assert {"year": None} == told("year=2025/a.json", prefix="year=2025/")


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("string", "01", "01"),
        ("int", "01", "1"),
        ("int", "-2147483648", "-2147483648"),
        ("int", "2147483648", None),
        ("int", "1.0", None),
        ("int", "１", None),
        ("bigint", "9223372036854775807", "9223372036854775807"),
        ("bigint", "9223372036854775808", None),
        ("double", "1e3", "1000.0"),
        ("double", "1e999", None),
        ("double", "NaN", None),
        ("float", "1e39", None),
        ("decimal(4,2)", "12.30", "12.30"),
        ("decimal(4,2)", "12.345", None),
        ("decimal(4,2)", "100", None),
        ("decimal(38,4)", "-1234567890123456789012345678901234.5678", "-1234567890123456789012345678901234.5678"),
        ("decimal(38,0)", "9" * 38, "9" * 38),
        ("decimal(38,0)", "9" * 39, None),
        ("decimal(5,2)", "1.5e2", "150"),
        ("boolean", "True", "true"),
        ("boolean", "1", None),
        ("date", "2025-1-7", "2025-01-07"),
        ("date", "2025-02-30", None),
        ("date", "20250107", None),
        ("timestamp", "2025-01-07", "2025-01-07T00:00:00+00:00"),
        ("timestamp", "2025-01-07 10%3A30", "2025-01-07T10:30:00+00:00"),
        ("timestamp", "2025-01-07T10:30:00.5+02:00", "2025-01-07T08:30:00.500000+00:00"),
        ("timestamp", "0001-01-01T00:00:00+01:00", None),
        ("timestamp", "yesterday", None),
        ("timestamp_ntz", "2025-01-07 10:30:00", "2025-01-07T10:30:00"),
        ("timestamp_ntz", "2025-01-07T10:30:00Z", None),
    ],
)
def test_a_column_takes_a_value_whole_or_not_at_all(type_: str, text: str, value: str | None) -> None:
    """In words that name the folder as it stands in the key, and the type."""
    key, column = f"in/year={text}/a.json", Field("year", type_)
    if value is not None:
        assert {"year": value} == told(key, column)
        return
    with pytest.raises(KeyUnfit) as unfit:
        told(key, column)
    assert f"the folder year={text} is no {type_}" == str(unfit.value)


def test_what_cannot_be_decoded_or_told_apart_is_refused() -> None:
    """Bytes that are no UTF-8, and a folder that is there twice."""
    for key, why in (("in/year=%E4/a.json", "%E4"), ("in/year=1/Year=1/a.json", "2 times")):
        with pytest.raises(KeyUnfit, match=why):
            told(key)


def test_a_required_column_needs_its_folder() -> None:
    """With a value in it."""
    for key in ("in/a.json", "in/year=__HIVE_DEFAULT_PARTITION__/a.json"):
        with pytest.raises(KeyUnfit, match="must have a value"):
            told(key, Field("year", "int", required=True))


def test_columns_come_last_as_texts_or_as_hints_say() -> None:
    """One that is there keeps its type, whatever its spelling."""
    found = Struct((Field("id", "bigint"), Field("Year", "int")))
    hints = (Hint(("day",), "date"), Hint(("year",), "string"), Hint(("price",), "double"))
    grown = with_key_columns(found, ("year", "month", "day"), hints)
    assert Struct((*found.fields, Field("month", "string"), Field("day", "date"))) == grown


def test_keys_give_single_values() -> None:
    """And no bytes."""
    assert [True] * 3 == [takes_keys(t) for t in ("string", "decimal(10,2)", "timestamp_ntz")]
    assert not takes_keys("binary")
    assert not takes_keys(Array("string"))
    assert not takes_keys(Struct())
