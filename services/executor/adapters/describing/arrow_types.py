"""From Arrow's types, in which pyarrow tells a file's schema, to ours."""

from collections.abc import Callable, Iterable
from typing import Final

import pyarrow as pa
from pyarrow import types as t

from libs.common.schema import Array, Field, Map, Struct, Type

Leaf = Callable[[pa.Field], str | None]
"""What a scalar is to us; None: it has no value ever. Called for the leaves of a schema in their order."""

_SCALARS: Final[tuple[tuple[Callable[[pa.DataType], bool], str], ...]] = (
    (t.is_boolean, "boolean"),
    (t.is_int8, "tinyint"),
    (t.is_int16, "smallint"),
    (t.is_int32, "int"),
    (t.is_int64, "bigint"),
    (t.is_uint8, "smallint"),
    (t.is_uint16, "int"),
    (t.is_uint32, "bigint"),
    (t.is_uint64, "decimal(20,0)"),
    (t.is_float16, "float16"),
    (t.is_float32, "float"),
    (t.is_float64, "double"),
    (t.is_string, "string"),
    (t.is_large_string, "string"),
    (t.is_string_view, "string"),
    (t.is_binary, "binary"),
    (t.is_large_binary, "binary"),
    (t.is_binary_view, "binary"),
    (t.is_fixed_size_binary, "binary"),
    (t.is_date, "date"),
    (t.is_duration, "bigint"),  # in files, a number without a unit
)


def scalar(found: pa.DataType) -> str | None:
    """Our name for a scalar; for what has none, Arrow's."""
    if isinstance(found, pa.BaseExtensionType):
        return "uuid" if found.extension_name == "arrow.uuid" else scalar(found.storage_type)
    if t.is_dictionary(found):
        return scalar(found.value_type)
    if t.is_null(found):
        return None
    if t.is_decimal(found):
        return f"decimal({found.precision},{found.scale})"
    if t.is_timestamp(found):
        return ("timestamp" if found.tz else "timestamp_ntz") + ("_ns" if found.unit == "ns" else "")
    if t.is_time(found):
        return f"time_{found.unit}"
    return next((ours for is_one, ours in _SCALARS if is_one(found)), str(found))


def struct(fields: Iterable[pa.Field], leaf: Leaf) -> Struct:
    """The fields, without those that have no value ever."""
    found = [(f.name, _type(f, leaf)) for f in fields]
    return Struct(tuple(Field(name, type_) for name, type_ in found if type_ is not None))


def _type(field: pa.Field, leaf: Leaf) -> Type | None:
    found = field.type
    if t.is_struct(found):
        return struct(found, leaf)
    if t.is_list(found) or t.is_large_list(found) or t.is_fixed_size_list(found):
        inner = _type(found.value_field, leaf)
        return None if inner is None else Array(inner)
    if t.is_map(found):
        key, value = _type(found.key_field, leaf), _type(found.item_field, leaf)
        return None if key is None or value is None else Map(key, value)
    return leaf(field)
