"""Columns that keys fill: in every type that they can have, and beside the records of every format."""

import datetime as dt
import decimal
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest

from libs.common.contracts.definition import Format
from tests.contract.reading.place import Place
from tests.support.typed_files import avro_of, orc, parquet

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

TYPES: dict[str, tuple[str, Any]] = {
    "string": ("01 ä/=%?*'\"\\", "01 ä/=%?*'\"\\"),
    "int": ("-01", -1),
    "bigint": (str(2**63 - 1), 2**63 - 1),
    "float": ("0.5", 0.5),
    "double": ("1e-300", 1e-300),
    "decimal(38,4)": (
        "1234567890123456789012345678901234.5678",
        decimal.Decimal("1234567890123456789012345678901234.5678"),
    ),
    "boolean": ("TRUE", True),
    "date": ("0099-1-7", dt.date(99, 1, 7)),
    "timestamp": ("2025-01-07T10:30:00.000001+02:00", dt.datetime(2025, 1, 7, 8, 30, 0, 1, dt.UTC)),
    "timestamp_ntz": ("2025-01-07 10:30:00", dt.datetime(2025, 1, 7, 10, 30)),  # noqa: DTZ001 - it has no zone
}


async def test_a_value_arrives_in_the_type_that_was_asked_for(place: Place) -> None:
    """One column of each; and a file whose key says nothing of any of them."""
    names = {f"c{n}": (type_, *told) for n, (type_, told) in enumerate(TYPES.items())}
    key = "/".join(f"{name}={quote(text, safe='')}" for name, (_, text, _) in names.items())
    files = [place.put(f"{key}/a.json", b'{"id": 1}\n'), place.put("b.json", b'{"id": 2}\n')]
    loaded = await place.load_keyed(Format(), files, *names, **{name: type_ for name, (type_, _, _) in names.items()})
    said, nothing = loaded.rows("id")
    assert {name: value for name, (_, _, value) in names.items()} == {name: said[name] for name in names}
    assert {None} == {nothing[name] for name in names}


TABLE = pa.table({"id": ["1"], "Year": ["forged"]})
BODIES = {
    "json": ({"type": "json"}, b'{"id": "1", "Year": "forged"}\n'),
    "json documents": ({"type": "json", "options": {"multiline": True}}, b'[\n{"id": "1", "Year": "forged"}]'),
    "csv": ({"type": "csv"}, b"id,Year\nx1,forged\n"),
    "text": ({"type": "text"}, b"x1\n"),
    "text of wide characters": ({"type": "text", "options": {"encoding": "utf-16"}}, "x1\n".encode("utf-16")),
    "parquet": ({"type": "parquet"}, parquet(TABLE)),
    "orc": ({"type": "orc"}, orc(TABLE)),
    "avro": ({"type": "avro"}, avro_of(TABLE)),
}


@pytest.mark.parametrize("format_", BODIES)
async def test_records_of_every_format_leave_them_to_the_key(place: Place, format_: str) -> None:
    """A field of the name is told as one without a column. Types and places of the others are as ever."""
    options, body = BODIES[format_]
    files = [place.put(f"year=0{n}/a", body) for n in (1, 2)]
    loaded = await place.load_keyed(Format.model_validate(options), files, "year")
    assert ["01", "02"] == [row["year"] for row in loaded.rows("year")]
    assert [["01"], ["02"]] == [[row["year"] for row in loaded.rows_of(f, "year")] for f in files]
    told = {f.digest: frozenset({"Year"}) for f in files if format_[:4] != "text"}
    assert told == loaded.staged.unknown_fields
