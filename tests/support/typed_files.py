"""Writers of the formats whose files bring their own types: one table, as each of them writes it."""

import io
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc as pa_orc
from pyarrow import types as t

from libs.common.contracts.definition import Format
from tests.support.avro_files import avro, record


class Typed(NamedTuple):
    """A format, and how a table becomes a file of it."""

    format: Format
    write: Callable[[pa.Table], bytes]


def parquet(table: pa.Table, **options: Any) -> bytes:
    """``options`` are pyarrow's."""
    written = io.BytesIO()
    pq.write_table(table, written, **options)
    return written.getvalue()


def orc(table: pa.Table, **options: Any) -> bytes:
    """``options`` are pyarrow's."""
    written = io.BytesIO()
    pa_orc.write_table(table, written, **options)
    return written.getvalue()


def avro_of(table: pa.Table, codec: str = "null") -> bytes:
    """Every field may be null."""
    types = {f.name: _optional(f.type, f.name) for f in table.schema}
    rows = table.cast(pa.schema([(f.name, _plain(f.type)) for f in table.schema])).to_pylist()
    return avro(record(**types), rows, codec)


_AVRO_TYPES: Final[Mapping[pa.DataType, str]] = {
    pa.bool_(): "boolean",
    pa.int32(): "int",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "bytes",
}


def _optional(found: pa.DataType, path: str) -> Any:
    return ["null", _of(found, path)]


def _of(found: pa.DataType, path: str) -> Any:
    if t.is_struct(found):
        return {**record(**{f.name: _optional(f.type, f"{path}_{f.name}") for f in found}), "name": path}
    if t.is_list(found):
        return {"type": "array", "items": _optional(found.value_type, f"{path}_element")}
    if t.is_date(found):
        return {"type": "int", "logicalType": "date"}
    if t.is_timestamp(found):
        kind = ("" if found.tz else "local-") + "timestamp-" + {"us": "micros", "ns": "nanos"}[found.unit]
        return {"type": "long", "logicalType": kind}
    if t.is_decimal(found):
        return {"type": "bytes", "logicalType": "decimal", "precision": found.precision, "scale": found.scale}
    return _AVRO_TYPES[found]


def _plain(found: pa.DataType) -> pa.DataType:
    """fastavro takes nanoseconds as numbers."""
    return pa.int64() if t.is_timestamp(found) and found.unit == "ns" else found


TYPED: Final[Mapping[str, Typed]] = {
    "parquet": Typed(Format(type="parquet"), parquet),
    "avro": Typed(Format(type="avro"), avro_of),
    "orc": Typed(Format(type="orc"), orc),
}
