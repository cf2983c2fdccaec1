"""A ledger that was lost comes back from the table and the bucket, on real services."""

from typing import Any

import pytest

from tests.support.backups import lose_everything, lose_ledger
from tests.support.landing import Landing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.requires_spark,
    pytest.mark.requires_minio,
    pytest.mark.asyncio(loop_scope="module"),
]


def database_of(landing: Landing) -> str:
    return landing.autoloader.environment["DATABASE_URL"]


async def loaded(landing: Landing) -> None:
    """Three files of ten rows each, in two batches."""
    for number in range(3):
        await landing.put(f"{number}.json", range(10 * number, 10 * number + 10))
    assert "success" == (await landing.run())["status"]


async def expire(landing: Landing) -> None:
    await landing.sql(
        f"CALL test_catalog.system.expire_snapshots(table => 'landing.{landing.name}', "
        "older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)"
    )


async def test_a_ledger_that_was_wiped_does_not_load_the_bucket_again(landing: Landing) -> None:
    """Rebuilt, it knows every file; the next run loads what landed since, and nothing else. Twice is as once."""
    await loaded(landing)
    await lose_ledger(database_of(landing))
    dry = await landing.rebuild(confirm=False, dry_run=True)
    assert (True, 2, 3) == (dry["dry_run"], dry["batches_restored"], dry["files_committed"])
    assert (await landing.audit())["orphaned"]["count"] == 2
    report = await landing.rebuild()
    assert (2, 0, 3, 0) == _numbers(report)
    assert (0, 0, 0, 0) == _numbers(await landing.rebuild())
    audit = await landing.audit()
    assert audit["clean"], audit
    await landing.put("3.json", [30])
    run = await landing.run()
    assert ("success", 1) == (run["status"], run["metrics"]["files_processed"])
    assert list(range(31)) == await landing.ids()
    assert (await landing.audit())["clean"]


async def test_an_ingestion_that_was_created_again_takes_over_its_table(landing: Landing) -> None:
    """All of Postgres is gone. The new ingestion is told under which ids the table was loaded, and is given one."""
    await loaded(landing)
    old = landing.ingestion_id
    await lose_everything(database_of(landing))
    await landing.create()
    refused = await landing.ask_rebuild()
    assert ("failed", "loaded_under_another_id") == (refused["status"], refused["problem"]["error_type"])
    assert old in refused["problem"]["message"]
    assert (2, 0, 3, 0) == _numbers(await landing.rebuild(from_ingestion=old))
    assert 0 == (await landing.run())["metrics"]["files_processed"]
    assert list(range(30)) == await landing.ids()
    assert (await landing.audit())["clean"]


@pytest.mark.parametrize(("word", "rows"), [("committed", 1), ("new", 2)])
async def test_what_was_expired_is_for_the_user_to_decide(landing: Landing, word: str, rows: int) -> None:
    """No snapshot proves the first batch any more: refused, until somebody says what to make of it."""
    await landing.put("a.json", [1])
    await landing.run()
    await landing.sql(f"INSERT INTO {landing.table} VALUES (100)")
    await expire(landing)
    await lose_ledger(database_of(landing))
    refused = await landing.ask_rebuild()
    assert ("failed", "history_expired") == (refused["status"], refused["problem"]["error_type"])
    report = await landing.rebuild(unproven=word)
    assert (int(word == "committed"), int(word == "new")) == (report["files_taken_on_trust"], report["files_new"])
    await landing.run()
    assert [1] * rows + [100] == await landing.ids()


async def test_a_rebuild_accepts_a_table_that_was_rolled_back(landing: Landing) -> None:
    """The rows that left it are loaded again by the next run."""
    await landing.put("a.json", [1])
    await landing.run()
    [first] = await landing.sql(f"SELECT snapshot_id FROM {landing.table}.refs WHERE name = 'main'")
    await landing.put("b.json", [2])
    await landing.run()
    await landing.sql(
        f"CALL test_catalog.system.rollback_to_snapshot('landing.{landing.name}', {first['snapshot_id']})"
    )
    report = await landing.rebuild()
    assert (0, 1, 1) == (report["batches_restored"], report["batches_withdrawn"], report["files_new"])
    assert "success" == (await landing.run())["status"]
    assert [1, 2] == await landing.ids()
    assert (await landing.audit())["clean"]


async def test_a_rebuild_wants_to_be_confirmed(landing: Landing) -> None:
    answer = await landing.autoloader.client.post(
        f"/api/v1/ingestions/{landing.ingestion_id}/rebuild-ledger", json={"confirm": False}
    )
    assert (422, "not_confirmed") == (answer.status_code, answer.json()["code"])


def _numbers(report: dict[str, Any]) -> tuple[int, int, int, int]:
    names = ("batches_restored", "batches_withdrawn", "files_committed", "files_new")
    return tuple(report[name] for name in names)
