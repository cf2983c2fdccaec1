"""The name under which a table stands, on Spark and Iceberg: taken once, and by a table with a folder of its own."""

import pytest

from libs.common.errors import Permanent
from services.executor.adapters.spark_table_place import SparkTablePlace
from services.executor.domain.schema import Field, Struct
from services.executor.refresh import next_location
from tests.contract.table.worlds import ID, Spark, SparkWorld

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark]


async def test_a_table_is_moved_aside_once(spark: Spark, on_spark: SparkWorld) -> None:
    """A second time, by a process that was frozen in between, would take the new table away: it is refused."""
    one, other = (spark.place(on_spark.to, session) for session in (0, 1))
    aside = f"{on_spark.to.table}__g1"
    assert await one.look() is None
    await on_spark.one.create(ID)
    await on_spark.append(1, 2)
    before = await other.look()
    assert before is not None
    await one.move_aside(aside)
    assert await one.look() is None
    moved = await other.look(aside)
    assert before == moved
    await one.create(before.schema, next_location(before.location, 2))
    with pytest.raises(Permanent):
        await other.move_aside(aside)
    new = await other.look()
    assert new is not None
    assert (ID, f"{before.location}-g2") == (new.schema, new.location)
    assert [] == await on_spark.ids()
    await on_spark.sql(f"DROP TABLE {on_spark.to.catalog}.{on_spark.to.database}.{aside} PURGE")


async def test_a_new_table_is_ready_for_staging_and_never_replaces_one(spark: Spark, on_spark: SparkWorld) -> None:
    """Somebody else may have been faster."""
    place: SparkTablePlace = spark.place(on_spark.to)
    where = f"s3://test-lakehouse/warehouse/contract/{on_spark.to.table}-g7"
    await place.create(ID, where)
    await place.create(Struct((Field("other", "string"),)), where)
    found = await place.look()
    assert found is not None
    assert ID == found.schema
    rows = await on_spark.sql(f"SHOW TBLPROPERTIES {on_spark.to.identifier}")
    assert "true" == {row["key"]: row["value"] for row in rows}["write.wap.enabled"]
