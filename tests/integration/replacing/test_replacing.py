"""Rows that give way to others, on real services: in one snapshot, once, whoever is killed, and an audit agrees."""

import asyncio
import signal

import pytest

from tests.integration.replacing.reloading import Reloading

pytestmark = [
    pytest.mark.integration,
    pytest.mark.requires_spark,
    pytest.mark.requires_minio,
    pytest.mark.asyncio(loop_scope="module"),
]
OTHERS = [*range(10), *range(20, 30)]


async def check(reloading: Reloading, *ids: int) -> None:
    """Each row once, named by its file; bucket, ledger and table agree."""
    landing = reloading.landing
    assert sorted([*OTHERS, *ids]) == await landing.ids()
    report = await landing.audit()
    assert report["clean"], report
    assert report["sides"]["ledger"] == report["sides"]["table"]
    assert len(OTHERS) + len(ids) == report["sides"]["table"]["rows"]


async def snapshots_since(reloading: Reloading, parent: int) -> int:
    rows = await reloading.landing.sql(
        f"SELECT s.snapshot_id FROM {reloading.landing.table}.snapshots s JOIN {reloading.landing.table}.history h "
        f"ON h.snapshot_id = s.snapshot_id AND h.is_current_ancestor WHERE s.parent_id = {parent}"
    )
    return len(rows)


async def test_one_file_of_three_is_replaced_in_one_snapshot(reloading: Reloading) -> None:
    """The other files' rows are as they were; the run counts what it loaded."""
    [before] = await reloading.landing.sql(
        f"SELECT snapshot_id FROM {reloading.landing.table}.refs WHERE name = 'main'"
    )
    await reloading.landing.autoloader.start("executor")
    run = await reloading.end_of(await reloading.begin(n1=range(100, 105)))
    assert "success" == run["status"], run
    await check(reloading, *range(100, 105))
    assert 1 == await snapshots_since(reloading, before["snapshot_id"])
    [named] = await reloading.landing.sql(
        f"SELECT count(*) AS n FROM {reloading.landing.table} WHERE _file_path = '{reloading.landing.uri('1.json')}'"
    )
    assert 5 == named["n"]


@pytest.mark.parametrize("point", ["exec.after_stage", "exec.during_publish", "exec.after_publish"])
async def test_an_executor_killed_in_between_leaves_old_rows_or_new_ones(reloading: Reloading, point: str) -> None:
    """kill -9, and another executor takes over when the lease ends."""
    victim = await reloading.landing.autoloader.start("executor", failpoint=point)
    run_id = await reloading.begin(n1=range(100, 105))
    assert -signal.SIGKILL == await victim.ended()
    is_in = point == "exec.after_publish"
    assert sorted([*OTHERS, *(range(100, 105) if is_in else range(10, 20))]) == await reloading.landing.ids()
    await reloading.landing.autoloader.start("executor")
    assert "success" == (await reloading.end_of(run_id))["status"]
    await check(reloading, *range(100, 105))


async def test_a_frozen_executor_that_wakes_up_is_too_late(reloading: Reloading) -> None:
    """Past all guards, right before its publish; another one finishes the reload, and a second reload follows."""
    zombie = await reloading.landing.autoloader.start("executor", failpoint="exec.during_publish:1:stop")
    run_id = await reloading.begin(n1=range(100, 105))
    await reloading.landing.autoloader.start("executor")
    assert "success" == (await reloading.end_of(run_id))["status"]
    assert "success" == (await reloading.end_of(await reloading.begin(n1=range(200, 203))))["status"]
    zombie.signal(signal.SIGCONT)
    again = await reloading.end_of(await reloading.begin(n1=range(200, 203)))
    assert "success" == again["status"]
    await check(reloading, *range(200, 203))


async def test_two_executors_and_other_batches_at_once(reloading: Reloading) -> None:
    """Batches of new files publish beside the reload, from two processes: everything is there once."""
    await asyncio.gather(*(reloading.landing.autoloader.start("executor") for _ in range(2)))
    new = [(f"new-{n}.json", [1000 + n]) for n in range(6)]
    run = await reloading.end_of(await reloading.begin(new=new, n1=range(100, 105)))
    assert "success" == run["status"], run
    await check(reloading, *range(100, 105), *range(1000, 1006))


async def test_a_table_without_the_file_column_says_what_it_needs(reloading: Reloading) -> None:
    """And keeps its rows."""
    await reloading.landing.sql(f"ALTER TABLE {reloading.landing.table} DROP COLUMN _file_path")
    await reloading.landing.autoloader.start("executor")
    run = await reloading.end_of(await reloading.begin(n1=range(100, 105)))
    assert ("failed", ["file_column_incomplete"]) == (
        run["status"],
        [error["error_type"] for error in run["errors"]],  # type: ignore[attr-defined]
    )
    assert sorted([*OTHERS, *range(10, 20)]) == await reloading.landing.ids()
