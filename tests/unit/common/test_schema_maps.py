"""Objects whose names are data become maps; all others stay what they are."""

import pytest

from libs.common.ddl import parse_columns
from libs.common.schema import Array, Field, Map, Struct, Type
from libs.common.schema_hints import parse_hints
from libs.common.schema_maps import NAMES_MAX, with_maps


def wide(type_: Type, names: int = NAMES_MAX + 1, *, prefix: str = "n") -> Struct:
    return Struct(tuple(Field(f"{prefix}{n}", type_) for n in range(names)))


def column(type_: Type) -> Struct:
    return Struct((Field("o", type_),))


MIXED = Struct((*wide("bigint").fields, Field("x", "string")))


@pytest.mark.parametrize(
    ("found", "made"),
    [
        (wide("bigint"), Map("string", "bigint")),
        (wide("bigint", NAMES_MAX), wide("bigint", NAMES_MAX)),
        (
            Struct((*wide("bigint").fields, Field("x", "string"))),
            Struct((*wide("bigint").fields, Field("x", "string"))),
        ),
        (Array(wide("string")), Array(Map("string", "string"))),
        (Struct((Field("in", wide("double")),)), Struct((Field("in", Map("string", "double")),))),
        (wide(parse_columns("a int, b string")), Map("string", parse_columns("a int, b string"))),
        (wide(wide("date")), Map("string", Map("string", "date"))),
        (Map("string", wide("date")), Map("string", Map("string", "date"))),
    ],
)
def test_many_names_and_one_type_make_a_map(found: Type, made: Type) -> None:
    """At any depth; one value of another type, or one name less, and the object stays."""
    assert column(made) == with_maps(column(found))


def test_a_record_is_no_map() -> None:
    """However many fields it has."""
    assert wide("bigint") == with_maps(wide("bigint"))


@pytest.mark.parametrize("hints", [{"O": "struct<a: int>"}, {"o.n7": "int"}, {"o.new": "date"}])
def test_who_says_something_of_an_object_knows_it(hints: dict[str, str]) -> None:
    """Of the object itself, or of a field in it."""
    assert column(wide("bigint")) == with_maps(column(wide("bigint")), parse_hints(hints))
    assert column(Map("string", "bigint")) == with_maps(column(wide("bigint")), parse_hints({"other.n7": "int"}))
