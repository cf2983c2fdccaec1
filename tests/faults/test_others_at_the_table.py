"""Others write to the table, and tend it, while it is loaded (F31–F33); and the last two batches meet (F37)."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql.connect.session import SparkSession

from tests.faults.cases import FILES, RECORDS, SPARK_URL, Case

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

EXECUTORS = 8
FOREIGN_FROM = 1_000_000
FOREIGN_EVERY_S = 0.1


@asynccontextmanager
async def frozen_before_publish(case: Case) -> AsyncIterator[None]:
    """A first run has loaded four files; a second run with two more is stopped right before its publish, does whatever
    the block does, and goes on."""
    executor, _ = await asyncio.gather(
        # Two batches of the first run pass the point before.
        case.autoloader.start("executor", failpoint="exec.before_publish:3:stop"),
        case.autoloader.start("scanner"),
    )
    await case.begin()
    await case.succeeded()
    for file in (FILES, FILES + 1):
        await case.put(case.key(file), range(file * RECORDS, (file + 1) * RECORDS))
    await case.ask()
    await case.frozen(executor)
    yield
    executor.signal(signal.SIGCONT)


@pytest.mark.fault("F31", "eight executors load one table while another writer appends to it every 100 ms")
async def test_a_busy_table_takes_every_batch_and_every_foreign_row(case: Case) -> None:
    """All succeed; foreign rows are intact."""
    await case.create(files=2 * EXECUTORS, files_per_batch=1)
    await case.sql("CREATE NAMESPACE IF NOT EXISTS test_catalog.faults")
    await case.sql(f"CREATE TABLE {case.table} (id bigint, text string) USING iceberg")
    await asyncio.gather(
        case.autoloader.start("scanner"),
        *(case.autoloader.start("executor", AUTOLOADER_BATCHES_AT_ONCE="1") for _ in range(EXECUTORS)),
    )
    foreign: list[int] = []
    writing = asyncio.create_task(_keep_writing(case.table, foreign))
    try:
        await case.ask()
        run = await case.ended()
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
    case.faults.inject(len(foreign))
    assert "success" == run["status"], case.story_of(run)
    case.faults.judged(await case.verdict(foreign=foreign))


async def _keep_writing(table: str, written: list[int]) -> None:
    """Appends a row again and again until cancelled; ``written`` are those that have arrived."""
    session = await asyncio.to_thread(SparkSession.builder.remote(SPARK_URL).create)
    try:
        while True:
            row = FOREIGN_FROM + len(written)
            insert = f"INSERT INTO {table} (id, text) VALUES ({row}, 'foreign')"
            # Shielded: a row whose answer nobody heard would be in the table and not in the list.
            arrives = asyncio.ensure_future(asyncio.to_thread(_run, session, insert))
            try:
                await asyncio.shield(arrives)
            finally:
                await arrives
                written.append(row)
            await asyncio.sleep(FOREIGN_EVERY_S)
    finally:
        await asyncio.to_thread(session.stop)


def _run(session: Any, statement: str) -> None:
    session.sql(statement).collect()


@pytest.mark.fault("F32", "somebody compacts the table while a batch is about to be published", quick=True)
async def test_a_foreign_compaction_in_between_changes_nothing(case: Case) -> None:
    """The staged copy is picked onto the compacted table."""
    async with frozen_before_publish(case):
        await case.sql(
            f"CALL test_catalog.system.rewrite_data_files(table => 'faults.{case.name}', "
            "options => map('rewrite-all', 'true'))"
        )
    await case.succeeded()
    case.faults.judged(await case.verdict())


@pytest.mark.fault("F32", "somebody adds a column while a batch is about to be published")
async def test_a_foreign_column_in_between_changes_nothing(case: Case) -> None:
    """Rows that were staged without it have nulls there."""
    async with frozen_before_publish(case):
        await case.sql(f"ALTER TABLE {case.table} ADD COLUMNS (noted string)")
    await case.succeeded()
    case.faults.judged(await case.verdict())
    assert [] == await case.sql(f"SELECT id FROM {case.table} WHERE noted IS NOT NULL")


@pytest.mark.fault("F32", "somebody rolls the table back while a run loads it")
async def test_a_rollback_during_a_run_halts_the_ingestion(case: Case) -> None:
    """Nothing is loaded again in silence: the run fails, the ingestion says why, and the next run is refused."""
    executor, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint="exec.after_stage:3:stop"), case.autoloader.start("scanner")
    )
    await case.begin()
    await case.succeeded()
    for file in (FILES, FILES + 1):
        await case.put(case.key(file), range(file * RECORDS, (file + 1) * RECORDS))
    await case.ask()
    await case.frozen(executor)
    [first] = await case.sql(f"SELECT snapshot_id FROM {case.table}.history ORDER BY made_current_at LIMIT 1")
    await case.sql(f"CALL test_catalog.system.rollback_to_snapshot('faults.{case.name}', {first['snapshot_id']})")
    before = await _rows(case)
    executor.signal(signal.SIGCONT)
    run = await case.ended()
    assert "success" != run["status"], json.dumps(run)
    ingestion = await _ingestion(case)
    assert "table_rolled_back" == ingestion["metadata"]["halt"]["code"]
    assert "rolled back" in ingestion["metadata"]["halt"]["message"]
    assert before == await _rows(case)
    refused = await case.autoloader.client.post(f"/api/v1/ingestions/{case.ingestion_id}/run")
    assert 409 == refused.status_code


async def _rows(case: Case) -> int:
    await case.sql(f"REFRESH TABLE {case.table}")
    return int((await case.sql(f"SELECT count(*) AS n FROM {case.table}"))[0]["n"])


async def _ingestion(case: Case) -> dict[str, Any]:
    answer = await case.autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}")
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.fault("F33", "every snapshot but the current one is expired between stage and publish")
async def test_a_staged_copy_that_was_expired_is_staged_again(case: Case) -> None:
    """The publish finds nothing to pick; the batch is read and staged once more."""
    async with frozen_before_publish(case):
        later = datetime.now(UTC) + timedelta(days=2)
        await case.sql(
            f"CALL test_catalog.system.expire_snapshots(table => 'faults.{case.name}', retain_last => 1, "
            f"older_than => TIMESTAMP '{later:%Y-%m-%d %H:%M:%S}')"
        )
    await case.succeeded()
    case.faults.judged(await case.verdict(history_is_whole=False))


@pytest.mark.fault("F37", "the last two batches of a run are finished at the same moment")
async def test_a_run_whose_last_batches_meet_ends_once(case: Case) -> None:
    """Both are in the table, both executors wake up together and tell the ledger."""
    executors = await asyncio.gather(
        *(
            case.autoloader.start("executor", failpoint="exec.after_publish:1:stop", AUTOLOADER_BATCHES_AT_ONCE="1")
            for _ in range(2)
        )
    )
    await case.autoloader.start("scanner")
    await case.begin()
    for executor in executors:
        await case.frozen(executor)
    for executor in executors:
        executor.signal(signal.SIGCONT)
    await case.check()
