"""A table that refuses ``write.wap.enabled``: batches are looked for, then appended, and labelled so."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from libs.common.errors import AutoloaderError
from services.executor.adapters import iceberg_sql
from services.executor.adapters.reading.json_lines import JsonLines
from services.executor.adapters.spark_sessions import BatchSession
from services.executor.adapters.spark_table import SparkTable
from services.executor.adapters.table_session import TableSession
from services.executor.ports import Table
from tests.contract.table.worlds import ID, Spark, SparkWorld, a_wap_id, burn, rows, stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark]


class Refusing(TableSession):
    """A catalog that answers as Iceberg's REST catalog does without the right to change a table."""

    def do(self, command: str) -> None:
        if command == iceberg_sql.set_property(self.to, iceberg_sql.WAP_ENABLED, "true"):
            raise RuntimeError("org.apache.iceberg.exceptions.ForbiddenException: Forbidden: cannot set properties")
        super().do(command)


@pytest.fixture
def two(spark: Spark, on_spark: SparkWorld) -> Iterator[tuple[Table, Table]]:
    """Two executors' holds on one table that cannot stage."""
    on_spark.spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {on_spark.to.catalog}.{on_spark.to.database}")
    on_spark.spark.sql(f"CREATE TABLE {on_spark.to.identifier} (id BIGINT) USING iceberg")
    with ThreadPoolExecutor(2) as threads:
        yield tuple(  # type: ignore[misc]
            SparkTable(Refusing(BatchSession(session, threads, 120), "sc://test", on_spark.to), JsonLines())
            for session in spark.sessions
        )


async def test_a_batch_is_seen_after_its_publish_and_says_how_it_came(
    two: tuple[Table, Table], on_spark: SparkWorld
) -> None:
    """Nothing is written before; the read-back tells the label."""
    one, other = two
    assert ID == await one.schema()
    wap_id = a_wap_id()
    staged = await stage(one, [on_spark.put("a.json", rows(range(3)))], wap_id=wap_id)
    assert 3 == staged.added_records
    assert [] == await on_spark.ids()
    await one.publish(staged.snapshot_id)
    assert [0, 1, 2] == await on_spark.ids()
    assert await other.schema() == ID
    found = await other.published(wap_id)
    assert found is not None
    assert ("effectively_once", False) == (found.guarantee, found.is_burn)


async def test_a_batch_that_is_there_is_not_appended_again(two: tuple[Table, Table], on_spark: SparkWorld) -> None:
    """By neither executor, though both had prepared it."""
    wap_id, file = a_wap_id(), on_spark.put("a.json", rows(range(3)))
    prepared = []
    for table in two:
        await table.schema()
        prepared.append((table, (await stage(table, [file], wap_id=wap_id)).snapshot_id))
    first, number = prepared[0]
    await first.publish(number)
    for table, number in prepared:
        with pytest.raises(AutoloaderError):
            await table.publish(number)
    assert [0, 1, 2] == await on_spark.ids()


async def test_a_burn_keeps_the_batch_out(two: tuple[Table, Table], on_spark: SparkWorld) -> None:
    """An empty snapshot with the batch's name: the look finds it."""
    one, other = two
    wap_id = a_wap_id()
    await one.schema()
    await other.schema()
    staged = await stage(one, [on_spark.put("a.json", rows(range(3)))], wap_id=wap_id)
    await other.publish(await burn(other, wap_id))
    with pytest.raises(AutoloaderError):
        await one.publish(staged.snapshot_id)
    found = await one.published(wap_id)
    assert found is not None
    assert found.is_burn
    assert [] == await on_spark.ids()
