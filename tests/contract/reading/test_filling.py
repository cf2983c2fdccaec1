"""Columns that are filled from what was rescued hold what they would if the files were loaded today."""

import json
from typing import Any

import pytest

from libs.common.contracts.definition import Format
from libs.common.schema import Struct
from services.executor.domain.evolution import Rules
from services.executor.domain.filling import wanted
from services.executor.domain.provenance import with_provenance
from services.executor.domain.schema_change import Addition
from tests.contract.reading.columns import table_of
from tests.contract.reading.place import Place
from tests.contract.table.worlds import a_wap_id, stage
from tests.support.typed_files import avro_of, orc, parquet

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

RECORDS: list[dict[str, Any]] = [
    {"id": "1", "n": 2**62, "f": 1.5, "t": 'a "b" é\n\\', "b": True, "o": {"a": [1, None]}, "m": None},
    {"id": "2", "n": -1, "f": 1e-9, "t": "", "l": [{"x": 1}, {"y": "z"}], "o": {"c": {"d": 1}}},
]
CSV = 'id,n,price,day,odd\n1, 7 ,1.10,2025-01-07,"a,""b"""\n2,-8,NA,2025-01-08,\n'
SOME = ("id", "int64", "double", "decimal of 5", "binary", "date", "timestamp of us", "struct")
BODIES: dict[str, tuple[dict[str, Any], bytes]] = {
    "json": ({"type": "json"}, "".join(json.dumps(r) + "\n" for r in RECORDS).encode()),
    "csv": ({"type": "csv", "options": {"null_value": "NA"}}, CSV.encode()),
    "parquet": ({"type": "parquet"}, parquet(table_of(0))),
    "orc": ({"type": "orc"}, orc(table_of(0, SOME))),
    "avro": ({"type": "avro"}, avro_of(table_of(0, SOME))),
}


@pytest.mark.parametrize("format_", BODIES)
async def test_they_hold_what_a_load_of_today_would_put_in(place: Place, format_: str) -> None:
    """Of every type that the format has, of what was rescued whole; and nothing of it is rescued any more."""
    options, body = BODIES[format_]
    kind = Format.model_validate(options)
    file = place.put("a", body)
    fresh = await place.load(kind, [file])

    table, rows = place.table(kind), place.rescued(kind)
    found = await table.infer([file])
    first = Struct(tuple(f for f in found.fields if f.name == "id"))
    staged = await stage(table, [file], await table.create(with_provenance(first, (), "_rescued_data")))
    await table.publish(staged.snapshot_id)
    schema = await table.add([Addition.of(f) for f in found.fields if f.name != "id"])
    of = wanted(table.name, schema, None, Rules())
    copy = await rows.stage(of, a_wap_id(), {})
    await table.publish(copy.snapshot_id)
    filled = await place.rows(table, "id")
    assert [None] * len(fresh.rows("id")) == [row.pop("_rescued_data") for row in filled]
    for was, now in zip(fresh.rows("id"), filled, strict=True):
        assert {} == {name: (was[name], now[name]) for name in was if was[name] != now[name]}
