"""Partitioned tables on the real thing: every row arrives, whatever its partition is called, in few files."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.contracts.definition import Definition
from libs.common.contracts.partitioning import parse, parse_all
from libs.common.errors import Permanent
from libs.common.partitioned import fit
from libs.common.schema import Field, Struct
from services.executor.domain.layout import Layout, of_new_table
from services.executor.domain.provenance import with_provenance
from tests.contract.table.worlds import SparkWorld, a_wap_id, lines, load, read_of, stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

START = datetime(2025, 1, 30, 22, tzinfo=UTC)
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
TEXTS = ["", " ", "a/b", "a=b", "../x", "ü €", "日本", "%2F", "a b+c", "x" * 300, "null", HIVE_NULL, None]
ROWS: list[dict[str, Any]] = [
    {
        "id": n - 20,
        "ts": None if n == 7 else (START + timedelta(minutes=47 * n)).isoformat(),
        "name": TEXTS[n % len(TEXTS)],
        "price": [1.5, -0.25, 0.0, 1e300, None][n % 5],
        "ok": [True, False, None][n % 3],
        "in": {"side": n % 4},
    }
    for n in range(60)
]


def wanting(world: SparkWorld, *columns: str) -> Definition:
    to = world.to.model_dump() | {"partitioning": {"enabled": True, "columns": columns}}
    body = {"name": "n", "cluster_id": "c", "source": {"path": "s3://landing/"}, "destination": to}
    return Definition.model_validate(body)


def texts(rows: list[Any]) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


async def stored(world: SparkWorld) -> Counter[str]:
    """Every row as JSON, nulls and all; times in UTC."""
    found = await world.sql(
        "SELECT to_json(named_struct('id', id, 'ts', date_format(ts, \"yyyy-MM-dd'T'HH:mm:ssXXX\"), 'name', name, "
        "'price', price, 'ok', ok, 'in', `in`), map('ignoreNullFields', 'false')) AS row "
        f"FROM {world.to.identifier}",
        session=1,
    )
    return texts([json.loads(row["row"]) for row in found])


def expected() -> Counter[str]:
    return texts([row | {"ts": row["ts"] and row["ts"].replace("+00:00", "Z")} for row in ROWS])


async def data_files(world: SparkWorld) -> tuple[int, int]:
    """How many there are, and in how many partitions."""
    counts = "count(*) AS files, count(DISTINCT partition) AS partitions"
    [found] = await world.sql(f"SELECT {counts} FROM {world.to.identifier}.data_files", session=1)
    return found["files"], found["partitions"]


@pytest.mark.parametrize(
    "columns",
    [
        ["hours(ts)"],
        ["days(ts)", "bucket(4, id)"],
        ["months(ts)", "name"],
        ["years(ts)", "truncate(3, name)", "ok"],
        ["price"],
        ["truncate(10, id)", "bucket(8, name)"],
        ["IN.side", "days(TS)"],
    ],
)
async def test_every_row_arrives_in_any_partition(on_spark: SparkWorld, columns: list[str]) -> None:
    """Nulls, slashes and spaces; each partition of a batch is one file."""
    file = on_spark.put("a.json", lines(*ROWS))
    schema, layout = of_new_table(wanting(on_spark, *columns), await on_spark.one.infer([file]))
    schema = await on_spark.one.create(schema, layout)
    staged = await stage(on_spark.one, [file], schema)
    assert (len(ROWS), len(ROWS)) == (read_of(staged, file).rows, staged.added_records)
    await on_spark.one.publish(staged.snapshot_id)
    assert expected() == await stored(on_spark)
    files, partitions = await data_files(on_spark)
    assert 1 < partitions == files


async def test_a_text_that_is_no_time_is_a_bad_record(on_spark: SparkWorld) -> None:
    """It is counted as bad, and its line is found; what is a time in another form is read."""
    file = on_spark.put(
        "a.json", lines({"ts": "2025-01-07"}, {"ts": "2025-01-07 10:00:00"}, {"ts": "2025-01-07T23:00:00-05:00"})
    )
    bad = on_spark.put("bad.json", lines({"ts": "2025-01-07"}, {"ts": "yesterday"}))
    schema, layout = of_new_table(wanting(on_spark, "days(ts)"), await on_spark.one.infer([file]))
    schema = await on_spark.one.create(schema, layout)
    staged = await stage(on_spark.one, [file, bad], schema)
    assert (3, 0) == (read_of(staged, file).rows, read_of(staged, file).bad)
    assert (1, 1) == (read_of(staged, bad).rows, read_of(staged, bad).bad)
    assert 2 == await on_spark.one.first_bad_line(bad, schema)


TYPES = ["bigint", "int", "double", "float", "boolean", "string", "binary", "date", "timestamp", "timestamp_ntz"]
SHAPES = ["c", "years(c)", "months(c)", "days(c)", "hours(c)", "bucket(4, c)", "truncate(4, c)"]


async def test_what_fits_is_what_iceberg_takes(on_spark: SparkWorld) -> None:
    """Each type with each transform; what we refuse, Iceberg refuses as well, in other words."""
    columns = Struct(
        (
            *(Field(f"c_{t}", t) for t in TYPES),
            Field("c_decimal", "decimal(10,2)"),
            Field("c_struct", Struct((Field("x", "bigint"),))),
        )
    )
    await on_spark.sql("CREATE NAMESPACE IF NOT EXISTS test_catalog.contract")
    wrong = []
    for column in columns.fields:
        for shape in SHAPES:
            part = parse(shape.replace("c)", f"{column.name})") if "(" in shape else column.name)
            found = fit(columns, [part])
            takes = await _takes(on_spark, found.schema, found.parts[0].sql)
            if takes == bool(found.misfits):
                wrong.append((str(part), takes))
    assert [] == wrong


async def test_parts_that_go_together_for_us_go_together_for_iceberg(on_spark: SparkWorld) -> None:
    """Several of one column; names of any kind, at the root and inside."""
    schema = Struct(
        (
            Field("id", "bigint"),
            Field("ts", "timestamp"),
            Field("é", "string"),
            Field("a.b", "string"),
            Field("a`b", Struct((Field("order", "string"), Field("1", "bigint")))),
        )
    )
    together = [
        ["id", "bucket(4, id)", "truncate(10, id)"],
        ["ts", "days(ts)", "bucket(4, ts)"],
        ["é", "`a.b`", "`a``b`.order", "truncate(2, `a``b`.`1`)", "`a``b`.`1`"],
    ]
    for columns in together:
        asked = parse_all(columns)
        found = fit(schema, asked)
        assert () == found.misfits
        await on_spark.place.create(schema, Layout(parts=tuple(p.sql for p in found.parts)))
        seen = await on_spark.place.look()
        assert seen is not None
        assert asked == parse_all(seen.layout.parts)
        await on_spark.sql(f"DROP TABLE {on_spark.to.identifier} PURGE")


async def _takes(world: SparkWorld, schema: Struct, part: str) -> bool:
    try:
        await world.place.create(schema, Layout(parts=(part,)))
    except Permanent:
        return False
    except Exception:  # noqa: BLE001 - Iceberg's own refusals come as errors of the server
        return False
    await world.sql(f"DROP TABLE IF EXISTS {world.to.identifier} PURGE")
    return True


async def test_a_table_of_the_users_is_written_as_it_stands_and_told_of(on_spark: SparkWorld) -> None:
    """Partitioned by days by hand; the definition says something else, or the same in another spelling."""
    await on_spark.sql("CREATE NAMESPACE IF NOT EXISTS test_catalog.contract")
    await on_spark.sql(
        f"CREATE TABLE {on_spark.to.identifier} (id bigint, ts timestamp) USING iceberg PARTITIONED BY (days(ts))"
    )
    schema = await on_spark.one.schema()
    assert schema is not None
    file = on_spark.put("a.json", lines(*({"id": n, "ts": f"2025-01-0{n}T00:00:00Z"} for n in range(1, 8))))
    staged = await stage(on_spark.one, [file], schema)
    await on_spark.one.publish(staged.snapshot_id)
    assert list(range(1, 8)) == await on_spark.ids()
    partitions = await on_spark.sql(f"SELECT * FROM {on_spark.to.identifier}.partitions", session=1)
    assert 7 == len(partitions)
    assert () == await on_spark.spark.hold(wanting(on_spark, "days(TS)").destination).warnings()
    [told] = await on_spark.spark.hold(wanting(on_spark, "hours(ts)").destination).warnings()
    assert "is partitioned by days(ts), not by hours(ts)" in told
    assert () == await on_spark.one.warnings()


async def test_rows_of_a_file_are_replaced_across_partitions(on_spark: SparkWorld) -> None:
    """Its new version has rows in other partitions than its old one had."""
    data = Struct((Field("id", "bigint"), Field("ts", "string")))
    schema, layout = of_new_table(wanting(on_spark, "days(ts)"), with_provenance(data, ("_file_path",)))
    schema = await on_spark.one.create(schema, layout)
    a = on_spark.put("a.json", lines(*({"id": n, "ts": f"2025-01-0{n}T00:00:00Z"} for n in range(1, 5))))
    b = on_spark.put("b.json", lines(*({"id": n, "ts": f"2025-01-0{n}T00:00:00Z"} for n in range(3, 9))))
    first = await stage(on_spark.one, [a, b], schema)
    await on_spark.one.publish(first.snapshot_id)
    new = on_spark.put("a.json", lines({"id": 30, "ts": "2025-02-01T00:00:00Z"}, {"id": 31, "ts": "2025-01-03"}))
    staged = await stage(on_spark.one, [new], schema, "rows:w")
    copy = await on_spark.one.stage_replacement(staged.snapshot_id, [new.uri], a_wap_id(), {})
    assert {new.uri: 2} == (await on_spark.one.file_rows([new.uri], copy.snapshot_id)).by_uri
    await on_spark.one.publish(copy.snapshot_id)
    assert [*range(3, 9), 30, 31] == await on_spark.ids()


async def test_a_table_is_made_again_with_all_that_was_said_of_it(on_spark: SparkWorld) -> None:
    """What people say by ALTER TABLE, and of inner fields; what they dropped stays away."""
    await on_spark.sql("CREATE NAMESPACE IF NOT EXISTS test_catalog.contract")
    to = on_spark.to.identifier
    await on_spark.sql(
        f"CREATE TABLE {to} (id bigint NOT NULL COMMENT 'it''s', `a, b` string, ts timestamp, "
        "s struct<x: bigint NOT NULL COMMENT 'inner', `y.z`: array<struct<q: int COMMENT 'deep'>>>) "
        "USING iceberg PARTITIONED BY (bucket(4, id), `a, b`) COMMENT 'of ours' "
        "TBLPROPERTIES ('format-version'='3', 'write.parquet.compression-codec'='gzip', 'mine'='x=''y''\\\\')"
    )
    for change in (
        "WRITE DISTRIBUTED BY PARTITION LOCALLY ORDERED BY id DESC NULLS FIRST, truncate(2, `a, b`), days(ts)",
        "SET IDENTIFIER FIELDS id",
        "DROP PARTITION FIELD `a, b`",
        "ADD PARTITION FIELD days(ts)",
    ):
        await on_spark.sql(f"ALTER TABLE {to} {change}")
    old = await on_spark.place.look()
    assert old is not None
    assert parse_all(["bucket(4, id)", "days(ts)"]) == parse_all(old.layout.parts)
    assert 3 == len(old.layout.order)
    properties = await _said(on_spark)
    await on_spark.sql(f"DROP TABLE {to} PURGE")
    await on_spark.place.create(old.schema, old.layout, old.location + "-g2")
    new = await on_spark.other_place.look()
    assert new is not None
    assert (old.schema, old.layout) == (new.schema, new.layout)
    assert properties | {"write.wap.enabled": "true"} == await _said(on_spark)
    file = on_spark.put("a.json", lines({"id": 1, "s": {"x": 1}, "ts": "2025-01-01"}))
    staged = await stage(on_spark.one, [file], new.schema)
    await on_spark.one.publish(staged.snapshot_id)
    assert [1] == await on_spark.ids()


async def _said(world: SparkWorld) -> dict[str, str]:
    rows = await world.sql(f"SHOW TBLPROPERTIES {world.to.identifier}")
    return {row["key"]: row["value"] for row in rows}


async def test_a_late_creation_leaves_a_table_with_rows_alone(on_spark: SparkWorld) -> None:
    """No word of an order comes to a table that is in use."""
    await on_spark.one.create(Struct((Field("id", "bigint"),)))
    await load(on_spark, 1)
    before = await _said(on_spark)
    ordered = Layout(order=("id ASC NULLS FIRST",))
    await on_spark.other_place.create(Struct((Field("id", "bigint"),)), ordered)
    assert before == await _said(on_spark)
