"""How many data files a batch makes: as many as it has rows for, not as many as the cluster has cores."""

from collections.abc import Iterator

import pytest

from libs.common.contracts.definition import Optimization
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Field, Struct
from services.executor.domain.audit import Staged
from services.executor.domain.layout import TARGET_FILE_SIZE, Layout
from tests.contract.table.worlds import SparkWorld, lines, stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

SCHEMA = Struct((Field("id", "bigint"), Field("day", "string"), Field("text", "string")))
FILES, ROWS = 60, 40


@pytest.fixture
def a_cluster_of_many_cores(on_spark: SparkWorld) -> Iterator[None]:
    """As far as Spark's plans go, which cut a batch for all of them."""
    session = on_spark.spark.sessions[0]
    session.conf.set("spark.sql.leafNodeDefaultParallelism", "32")
    yield
    session.conf.unset("spark.sql.leafNodeDefaultParallelism")


def files(world: SparkWorld) -> list[FileVersion]:
    return [
        world.put(f"{n}.json", lines(*({"id": n * ROWS + i, "day": f"d{i % 4}", "text": "x"} for i in range(ROWS))))
        for n in range(FILES)
    ]


async def data_files(world: SparkWorld, staged: Staged) -> int:
    snapshots = f"SELECT summary FROM {world.to.identifier}.snapshots WHERE snapshot_id = {staged.snapshot_id}"
    [row] = await world.sql(snapshots, session=1)
    return int(row["summary"]["added-data-files"])


@pytest.mark.parametrize(
    ("parts", "order", "expected"),
    [
        ((), (), 1),
        (("day",), (), 4),
        (("bucket(4, id)",), (), 4),
        ((), ("id DESC NULLS LAST",), 1),
        (("day",), ("id DESC NULLS LAST",), 4),
    ],
)
@pytest.mark.usefixtures("a_cluster_of_many_cores")
async def test_a_batch_makes_one_file_per_partition_and_is_counted_once(
    on_spark: SparkWorld, parts: tuple[str, ...], order: tuple[str, ...], expected: int
) -> None:
    """Also in a table that is sorted: Iceberg would have Spark read the files twice for that, and count them twice."""
    await on_spark.sql("CREATE NAMESPACE IF NOT EXISTS test_catalog.contract")
    properties = {"write.distribution-mode": "range"} if order else {}
    await on_spark.place.create(SCHEMA, Layout(parts=parts, order=order, properties=properties))
    staged = await stage(on_spark.one, files(on_spark), SCHEMA)
    assert FILES * ROWS == sum(read.rows for read in staged.reads.values()) == staged.added_records
    assert expected == await data_files(on_spark, staged)


async def test_a_target_size_holds_from_the_next_batch_on(on_spark: SparkWorld) -> None:
    """In a table that is there already; Iceberg looks at the size after every thousand rows."""
    await on_spark.one.create(SCHEMA)
    body = b"".join(lines({"id": i, "day": "d", "text": f"{i * 7919 % 100_003:x}" * 40}) for i in range(20_000))
    file = on_spark.put("a.json", body)
    assert 1 == await data_files(on_spark, await stage(on_spark.one, [file], SCHEMA))
    optimization = Optimization(target_file_size_bytes=1024**2)
    hold = on_spark.spark.hold(on_spark.to.model_copy(update={"optimization": optimization}))
    assert await hold.schema() == SCHEMA
    place = await on_spark.place.look()
    assert place is not None
    assert str(1024**2) == place.layout.properties[TARGET_FILE_SIZE]
    assert await data_files(on_spark, await stage(hold, [file], SCHEMA)) > 1
