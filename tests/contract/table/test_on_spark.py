"""What only the real table has: other people's tables, sessions that are used again, sizes, and access."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from libs.common.contracts.definition import Credentials, Destination
from libs.common.errors import AutoloaderError, Permanent
from libs.common.schema import Field, Struct
from services.executor.adapters.spark_sessions import SessionKey
from services.executor.domain.audit import FileRead
from services.executor.domain.provenance import MARK
from services.executor.domain.schema_change import Addition, compare
from tests.contract.table.conftest import ACCESS, URL
from tests.contract.table.worlds import ID, Spark, SparkWorld, a_wap_id, burn, lines, load, read_of, rows, stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]


async def test_counts_are_exact_for_files_that_are_cut_and_for_many_that_are_tiny(on_spark: SparkWorld) -> None:
    """5 MB, read by several tasks, beside 200 files of a few lines that share one."""
    await on_spark.one.create(ID)
    wide = b"".join(json.dumps({"id": i, "text": "x" * 80}).encode() + b"\n" for i in range(50_000))
    large = on_spark.put("large.json", wide)
    assert large.size_bytes > 5_000_000
    tiny = [on_spark.put(f"tiny/{n}.json", rows(range(n % 5)) + b"bad\n" * (n % 2)) for n in range(200)]
    staged = await stage(on_spark.one, [*tiny[:100], large, *tiny[100:]])
    assert FileRead(50_000, 50_000) == read_of(staged, large)
    assert [FileRead(n % 5 + n % 2, n % 5, n % 2) for n in range(200)] == [read_of(staged, f) for f in tiny]
    assert 50_000 + sum(n % 5 for n in range(200)) == staged.added_records
    assert {large.digest: frozenset({"text"})} == staged.unknown_fields


async def test_a_session_keeps_no_trace_of_a_batch(on_spark: SparkWorld) -> None:
    """Left with a wap id it would stage whatever comes next, maintenance included; also after a failure."""
    await on_spark.one.create(ID)
    session = on_spark.spark.sessions[0]
    before = session.conf.getAll
    await load(on_spark, 1)
    gone = on_spark.put("gone.json", rows([1]))
    on_spark.delete(gone)
    with pytest.raises(AutoloaderError):
        await stage(on_spark.one, [gone])
    await on_spark.one.first_bad_line(on_spark.put("bad.json", b"bad\n"), ID)
    await burn(on_spark.one, a_wap_id())
    assert before == session.conf.getAll
    await on_spark.sql(f"INSERT INTO {on_spark.to.identifier} VALUES (2)", session=0)
    assert [1, 2] == await on_spark.ids()


async def test_a_partitioned_table_of_the_users_is_appended_to(on_spark: SparkWorld) -> None:
    """With types that JSON has not, and columns that no file has."""
    await on_spark.sql("CREATE NAMESPACE IF NOT EXISTS test_catalog.contract")
    await on_spark.sql(
        f"CREATE TABLE {on_spark.to.identifier} "
        "(id bigint NOT NULL, day date, price decimal(10, 2), tags map<string, int>) "
        "USING iceberg PARTITIONED BY (day, bucket(4, id))"
    )
    schema = await on_spark.one.schema()
    assert schema is not None
    good = lines(*({"id": i, "day": f"2025-01-0{i % 9 + 1}", "price": 1.5, "tags": {"a": 1}} for i in range(90)))
    files = [on_spark.put("a.json", good), on_spark.put("b.json", lines({"id": 1, "day": "soon"}))]
    staged = await stage(on_spark.one, files, schema)
    assert [FileRead(90, 90), FileRead(1, 0, 1)] == [read_of(staged, f) for f in files]
    await on_spark.one.publish(staged.snapshot_id)
    assert list(range(90)) == await on_spark.ids()


NAMES = ["a b", "a.b", "a`b", "a'b", 'a"b', "a,b", "é", "a?b", "a]b", "a\\b", "$a", "_pos", "value", "file", "x" * 300]


async def test_a_field_may_have_any_name(on_spark: SparkWorld) -> None:
    """In the first file, in a later one, at the root and inside a struct."""
    value = dict.fromkeys(NAMES, 1)
    first = on_spark.put("a.json", lines({"id": 1, "s": {"x": 1}, **value}))
    schema = await on_spark.one.create(await on_spark.one.infer([first]))
    assert {"id", "s", *NAMES} == {f.name for f in schema.fields}
    later = on_spark.put(
        "b.json", lines({"id": 2, "s": {f"2{name}": 1 for name in NAMES}} | {f"2{n}": 1 for n in NAMES})
    )
    staged = await stage(on_spark.one, [first, later], schema)
    new = {f"2{name}" for name in NAMES}
    assert {later.digest: new | {f"s.{name}" for name in new}} == staged.unknown_fields
    schema = await on_spark.one.add(compare(schema, await on_spark.one.infer([later])).additions)
    staged = await stage(on_spark.one, [first, later], schema)
    assert ({}, 2) == (staged.unknown_fields, staged.added_records)
    await on_spark.one.publish(staged.snapshot_id)
    assert [1, 2] == await on_spark.ids()


async def test_a_hundred_new_fields_come_in_one_change_of_the_table(on_spark: SparkWorld) -> None:
    """Each change is a new metadata file; a wide table would be rewritten a hundred times."""
    await on_spark.one.create(ID)
    schema = await on_spark.one.add([Addition((f"c{n}",), "string") for n in range(100)])
    assert 101 == len(schema.fields)
    log = f"SELECT * FROM {on_spark.to.identifier}.metadata_log_entries"
    assert 2 == len(await on_spark.sql(log))


async def test_rows_that_were_not_staged_after_all_are_found(on_spark: SparkWorld) -> None:
    """Somebody took write.wap.enabled away: Iceberg appends at once. Loading the batch again would double it."""
    await on_spark.one.create(ID)
    await on_spark.sql(f"ALTER TABLE {on_spark.to.identifier} UNSET TBLPROPERTIES ('write.wap.enabled')", session=1)
    wap_id = a_wap_id()
    staged = await stage(on_spark.one, [on_spark.put("a.json", rows([1]))], wap_id=wap_id)
    with pytest.raises(AutoloaderError):
        await on_spark.one.publish(staged.snapshot_id)
    found = await on_spark.other.published(wap_id)
    assert found is not None
    assert (staged.snapshot_id, False) == (found.snapshot_id, found.is_burn)
    assert ID == await on_spark.one.schema()
    await load(on_spark, 2)
    assert [1, 2] == await on_spark.ids()


async def test_a_burn_stays_a_burn_when_its_source_has_expired(on_spark: SparkWorld) -> None:
    """A picked snapshot does not carry our mark, and snapshot expiry takes away the one that does."""
    await on_spark.one.create(ID)
    wap_id = a_wap_id()
    burning = await burn(on_spark.one, wap_id)
    await on_spark.append(1)
    await on_spark.one.publish(burning)
    await on_spark.sql(
        f"CALL {on_spark.to.catalog}.system.expire_snapshots(table => '{on_spark.to.database}.{on_spark.to.table}', "
        f"snapshot_ids => ARRAY({burning}))"
    )
    found = await on_spark.one.published(wap_id)
    assert found is not None
    assert found.is_burn


async def test_a_staged_snapshot_that_expired_is_refused(on_spark: SparkWorld) -> None:
    """Nothing of it is published; the batch can be staged again."""
    await on_spark.one.create(ID)
    await load(on_spark, 1)
    wap_id, file = a_wap_id(), on_spark.put("a.json", rows([2]))
    staged = await stage(on_spark.one, [file], wap_id=wap_id)
    await on_spark.sql(
        f"CALL {on_spark.to.catalog}.system.expire_snapshots(table => '{on_spark.to.database}.{on_spark.to.table}', "
        f"snapshot_ids => ARRAY({staged.snapshot_id}))"
    )
    with pytest.raises(AutoloaderError):
        await on_spark.one.publish(staged.snapshot_id)
    assert await on_spark.one.published(wap_id) is None
    await on_spark.one.publish((await stage(on_spark.one, [file], wap_id=wap_id)).snapshot_id)
    assert [1, 2] == await on_spark.ids()


async def test_an_unknown_catalog_is_named(spark: Spark) -> None:
    """Whatever is asked first."""
    table = spark.hold(Destination(catalog="nowhere", database="d", table="t"))
    for ask in (table.schema(), table.published("w"), table.create(ID)):
        with pytest.raises(Permanent, match="nowhere") as told:
            await ask
        assert "unknown_catalog" == told.value.code


async def test_a_view_is_no_destination(on_spark: SparkWorld) -> None:
    """It is said by name, before anything is tried."""
    await on_spark.one.create(ID)
    view = Destination(catalog=on_spark.to.catalog, database=on_spark.to.database, table=f"{on_spark.to.table}_view")
    await on_spark.sql(f"CREATE VIEW {view.identifier} AS SELECT * FROM {on_spark.to.identifier}")
    try:
        with pytest.raises(Permanent, match=view.table) as told:
            await on_spark.spark.hold(view).schema()
    finally:
        await on_spark.sql(f"DROP VIEW {view.identifier}")
    assert "invalid_destination" == told.value.code


async def test_a_table_of_another_format_is_refused_and_left_as_it_is(on_spark: SparkWorld) -> None:
    """Only Iceberg can stage: an append to anything else would be seen at once."""
    to = Destination(catalog="spark_catalog", database="default", table=on_spark.to.table)
    where = f"s3a://autoloader-contract/{on_spark.to.table}"
    await on_spark.sql(f"CREATE TABLE {to.identifier} (id bigint) USING parquet LOCATION '{where}'")
    try:
        with pytest.raises(Permanent) as told:
            await on_spark.spark.hold(to).schema()
        properties = await on_spark.sql(f"SHOW TBLPROPERTIES {to.identifier}")
    finally:
        await on_spark.sql(f"DROP TABLE {to.identifier}")
    assert "invalid_destination" == told.value.code
    assert "write.wap.enabled" not in {row["key"] for row in properties}


@pytest.fixture
def locked_out(s3: Any) -> Iterator[Spark]:
    """A server's sessions with keys that the store does not know."""
    wrong = Credentials(aws_access_key_id="nobody", aws_secret_access_key="wrong", endpoint_url=ACCESS.endpoint_url)
    spark = Spark(SessionKey(URL, "autoloader-contract", wrong))
    yield spark
    spark.close()


async def test_each_ingestion_reads_with_its_own_access(on_spark: SparkWorld, locked_out: Spark) -> None:
    """Not with what the server was given before for the same bucket; and a corrected key takes effect at once."""
    file = on_spark.put("a.json", rows([1]))
    assert ID == await on_spark.one.infer([file])
    for session in (0, 1):
        with pytest.raises(Permanent) as told:
            await locked_out.hold(on_spark.to, session).infer([file])
        assert "access_denied" == told.value.code
    assert ID == await on_spark.other.infer([file])


async def test_a_table_of_two_thousand_columns_is_staged(on_spark: SparkWorld) -> None:
    """Wide events are common; nothing here grows faster than the columns do."""
    names = [f"c{n}" for n in range(2000)]
    schema = await on_spark.one.create(Struct((Field("id", "bigint"), *(Field(name, "bigint") for name in names))))
    file = on_spark.put("a.json", lines({"id": 1, **dict.fromkeys(names, 7), "new": 1}))
    staged = await stage(on_spark.one, [file], schema)
    assert (1, {file.digest: frozenset({"new"})}) == (staged.added_records, staged.unknown_fields)


async def test_rows_are_replaced_in_a_partitioned_table_that_merges_on_read(on_spark: SparkWorld) -> None:
    """A table of the user's, with position deletes instead of rewritten files. The session keeps no trace of it."""
    await on_spark.sql("CREATE NAMESPACE IF NOT EXISTS test_catalog.contract")
    await on_spark.sql(
        f"CREATE TABLE {on_spark.to.identifier} (id bigint, _file_path string COMMENT '{MARK}the file') USING iceberg "
        "PARTITIONED BY (bucket(4, id)) TBLPROPERTIES ('write.merge.mode'='merge-on-read')"
    )
    schema = await on_spark.one.schema()
    assert schema is not None
    a, b = on_spark.put("a'\\.json", rows(range(8))), on_spark.put("b.json", rows(range(10, 18)))
    first = await stage(on_spark.one, [a, b], schema)
    await on_spark.one.publish(first.snapshot_id)
    before = on_spark.spark.sessions[0].conf.getAll
    new = on_spark.put("a'\\.json", rows(range(20, 23)))
    staged = await stage(on_spark.one, [new], schema, "rows:w")
    copy = await on_spark.one.stage_replacement(staged.snapshot_id, [new.uri], a_wap_id(), {})
    assert {new.uri: 3} == (await on_spark.one.file_rows([new.uri], copy.snapshot_id)).by_uri
    await on_spark.one.publish(copy.snapshot_id)
    assert [*range(10, 18), *range(20, 23)] == await on_spark.ids()
    assert before == on_spark.spark.sessions[0].conf.getAll
