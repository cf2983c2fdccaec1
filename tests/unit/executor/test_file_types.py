"""Files that bring their own types: the column for each, and what goes into which."""

from collections.abc import Callable, Set

import pytest

from libs.common.schema import Array, Field, Map, Struct, Type
from services.executor.domain.file_types import Unstorable, merged, stored, takes, unstorable
from services.executor.domain.fitting import fit


def struct(**fields: Type) -> Struct:
    return Struct(tuple(Field(name, type_) for name, type_ in fields.items()))


@pytest.mark.parametrize(
    ("found", "column"),
    [
        ("tinyint", "int"),
        ("smallint", "int"),
        ("bigint", "bigint"),
        ("uuid", "string"),
        ("time_us", "string"),
        ("timestamp_ntz_ns", "timestamp_ntz"),
        ("timestamp_ntz_text", "timestamp_ntz"),
        ("decimal(38,10)", "decimal(38,10)"),
        (Array("smallint"), Array("int")),
        (Map("uuid", struct(t="timestamp_ns")), Map("string", struct(t="timestamp"))),
    ],
)
def test_every_type_has_its_column(found: Type, column: Type) -> None:
    """Also inside others."""
    assert column == stored(found)


@pytest.mark.parametrize("found", ["float16", "decimal(39,0)", Array("interval"), struct(x="float16")])
def test_what_no_column_holds_is_said(found: Type) -> None:
    """With the name of the file's column."""
    with pytest.raises(Unstorable):
        stored(found)
    assert "its column 'c' is of type" in str(unstorable(struct(c=found)))


def deep(levels: int, around: Callable[[Type], Type]) -> Type:
    return around(deep(levels - 1, around)) if levels else "int"


@pytest.mark.parametrize(
    ("around", "levels_max"),
    [(lambda of: struct(x=of), 30), (Array, 45), (lambda of: Map("string", of), 22)],
)
def test_what_is_nested_too_deeply_is_said(around: Callable[[Type], Type], levels_max: int) -> None:
    """Before Spark is asked, which has no words for it."""
    assert unstorable(struct(c=deep(levels_max, around))) is None
    assert "'c' is nested deeper" in str(unstorable(struct(c=deep(levels_max + 1, around))))


def test_names_that_cannot_be_read_are_said() -> None:
    """Twice the same, and one that Spark keeps for itself."""
    twice = Struct((Field("a", "int"), Field("a", "int")))
    assert "two of its columns are named 'a'" == unstorable(twice)
    assert "'_metadata'" in str(unstorable(struct(_metadata="int")))
    assert unstorable(struct(a="int", A="int")) is None


@pytest.mark.parametrize(
    ("column", "found", "is_taken"),
    [
        ("int", "tinyint", True),
        ("int", "bigint", False),
        ("bigint", "int", True),
        ("double", "bigint", True),
        ("bigint", "double", False),
        ("float", "double", False),
        ("float", "int", False),
        ("string", "decimal(5,2)", True),
        ("string", "binary", False),
        ("timestamp", "timestamp_ntz", False),
        ("timestamp", "timestamp_ns", True),
        ("decimal(10,2)", "decimal(9,2)", True),
        ("decimal(10,2)", "decimal(10,3)", False),
        ("decimal(10,2)", "decimal(10,1)", False),
        ("decimal(12,2)", "int", True),
        ("decimal(11,2)", "int", False),
        ("decimal(21,2)", "bigint", True),
        ("decimal(21,2)", "double", False),
    ],
)
def test_a_column_takes_what_it_can_hold(column: str, found: str, is_taken: bool) -> None:
    """All of it, or all but values that are looked at one by one."""
    assert is_taken == takes(column, found)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("int", "bigint", "bigint"),
        ("bigint", "int", "bigint"),
        ("bigint", "double", "double"),
        ("decimal(10,2)", "decimal(9,4)", "decimal(12,4)"),
        ("decimal(38,0)", "decimal(38,38)", "decimal(38,0)"),
        ("int", "string", "int"),
        ("string", "int", "string"),
        (struct(a="int"), struct(b="int", a="bigint"), struct(a="bigint", b="int")),
        (Array(struct(a="int")), Array(struct(b="int")), Array(struct(a="int", b="int"))),
        (Map("string", "int"), Map("string", "bigint"), Map("string", "bigint")),
        (Map("string", "int"), Map("int", "int"), Map("string", "int")),
    ],
)
def test_one_column_for_two_files(first: Type, second: Type, both: Type) -> None:
    """The wider type, if there is one; else the first file's."""
    assert both == merged(first, second)


TABLE = struct(id="bigint", s=struct(a="bigint"), l=Array(struct(a="int")), m=Map("string", struct(a="int")))


@pytest.mark.parametrize(
    ("file", "unknown", "clashes"),
    [
        (TABLE, set(), {}),
        (struct(ID="int", s=struct(A="bigint")), set(), {}),
        (struct(new="float16", s=struct(b="int", a="int")), {"new", "s.b"}, {}),
        (struct(l=Array(struct(b="int")), m=Map("string", struct(b="int"))), {"l.element.b", "m.value.b"}, {}),
        (struct(id="bigint", ID="bigint"), {"ID"}, {}),
        (struct(Id="bigint", ID="bigint"), {"Id", "ID"}, {}),
        (struct(S=struct(b="int")), {"S"}, {}),
        (struct(id="string"), set(), {"id": "field 'id' is string here and bigint in the table"}),
        (struct(l=Array(struct(a="bigint"))), set(), {"l": "field 'l.element.a' is bigint here and int in the table"}),
        (struct(m=Map("int", struct(a="int"))), set(), {"m": "field 'm' is map<int, struct<`a`: int>> here and "
                                                              "map<string, struct<`a`: int>> in the table"}),
    ],
)  # fmt: skip
def test_a_file_fits_into_a_table(file: Struct, unknown: Set[str], clashes: dict[str, str]) -> None:
    """What is new, by its dotted name, and what no column takes, by the column."""
    found = fit(TABLE, file)
    assert (unknown, clashes) == (found.unknown, found.clashes)
