"""What a real table tells of its batches, when the ledger that loaded them is gone."""

import pytest

from libs.common.ids import new_batch_id, new_ingestion_id
from services.executor.adapters.spark_table import SparkTable
from services.executor.domain.evidence import FILES, REPLACED, ROWS, ROWS_REMOVED, number_of, written
from services.executor.domain.provenance import with_provenance
from services.executor.domain.story import TableStory
from tests.contract.table.worlds import ID, SparkWorld, burn, rows

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]


async def story_of(world: SparkWorld) -> TableStory:
    assert isinstance(world.other, SparkTable)
    story = await world.other.story()
    assert story is not None
    return story


async def test_a_table_that_is_not_there_has_no_story(on_spark: SparkWorld) -> None:
    """None is an answer, not an error."""
    assert isinstance(on_spark.one, SparkTable)
    assert await on_spark.one.story() is None


async def test_batches_name_their_files_however_they_came_in(on_spark: SparkWorld) -> None:
    """The first is fast-forwarded; the second, staged on the same snapshot, is picked and points at its source."""
    await on_spark.one.create(ID)
    ingestion, run = new_ingestion_id(), "00000000-0000-4000-8000-000000000001"
    staged = []
    for number in range(2):
        file, batch = on_spark.put(f"{number}.json", rows([number, 10 + number])), str(new_batch_id())
        properties = {FILES: written([file]), "autoloader.run": run}
        found = await on_spark.one.stage([file], ID, f"al1:{ingestion}:3:{batch}", properties)
        staged.append((batch, (number_of(file),), found.snapshot_id))
    for _, _, snapshot_id in staged:
        await on_spark.one.publish(snapshot_id)
    story = await story_of(on_spark)
    assert [(b, n) for b, n, _ in staged] == [(b.batch_id, b.files) for b in story.batches]
    assert {(str(ingestion), 3, 2, run, False)} == {
        (b.ingestion_id, b.generation, b.rows, b.run_id, b.is_burn) for b in story.batches
    }
    assert staged[0][2] == story.batches[0].snapshot_id
    assert staged[1][2] != story.batches[1].snapshot_id
    assert (False, ()) == (story.is_cut, story.data_files_twice)
    assert story.data_files >= 2


async def test_burns_and_foreign_writers_are_told_apart(on_spark: SparkWorld) -> None:
    """A burn holds no rows; who writes without a wap id is no batch."""
    await on_spark.one.create(ID)
    wap_id = f"al1:{new_ingestion_id()}:1:{new_batch_id()}"
    burning = await burn(on_spark.one, wap_id)
    await on_spark.append(7)
    await on_spark.one.publish(burning)
    [only] = (await story_of(on_spark)).batches
    assert (True, 0, None) == (only.is_burn, only.rows, only.files)


async def test_a_history_that_was_expired_is_cut(on_spark: SparkWorld) -> None:
    """What is older than its oldest snapshot cannot be told any more; the rows are still there."""
    await on_spark.one.create(ID)
    await on_spark.append(1)
    assert not (await story_of(on_spark)).is_cut
    await on_spark.append(2)
    to = on_spark.to
    await on_spark.sql(
        f"CALL {to.catalog}.system.expire_snapshots(table => '{to.database}.{to.table}', "
        "older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)"
    )
    story = await story_of(on_spark)
    assert (True, (), [1, 2]) == (story.is_cut, story.batches, await on_spark.ids())


async def test_a_batch_that_replaced_rows_tells_of_them(on_spark: SparkWorld) -> None:
    """How many it brought and took away, not how many moved with them; and the earlier batch has lost the file."""
    schema = await on_spark.one.create(with_provenance(ID, ("_file_path",)))
    ingestion, one, two = new_ingestion_id(), str(new_batch_id()), str(new_batch_id())
    a, b = on_spark.put("a.json", rows([1, 2])), on_spark.put("b.json", rows([3]))
    told = {FILES: written([a, b]), "autoloader.run": "r"}
    first = await on_spark.one.stage([a, b], schema, f"al1:{ingestion}:1:{one}", told)
    await on_spark.one.publish(first.snapshot_id)
    new = on_spark.put("a.json", rows([1, 2, 4]))
    wap_id = f"al1:{ingestion}:1:{two}"
    told = {FILES: written([new]), "autoloader.run": "r"}
    staged = await on_spark.one.stage([new], schema, f"rows:{wap_id}", told)
    told |= {ROWS: "3", ROWS_REMOVED: "2", REPLACED: written([a])}
    copy = await on_spark.one.stage_replacement(staged.snapshot_id, [new.uri], wap_id, told)
    await on_spark.one.publish(copy.snapshot_id)
    expected = [(one, 3, 0, (number_of(b),), False), (two, 3, 2, (number_of(new),), True)]
    batches = (await story_of(on_spark)).batches
    assert expected == [(x.batch_id, x.rows, x.rows_removed, x.files, x.replaces_rows) for x in batches]
