"""Audits and rebuilds of tables whose files were overwritten, on real services."""

import pytest

from libs.common.contracts.definition import OverwritePolicy
from tests.support.backups import back_up, restore
from tests.support.landing import Landing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.requires_spark,
    pytest.mark.requires_minio,
    pytest.mark.asyncio(loop_scope="module"),
]


async def choose(landing: Landing, policy: OverwritePolicy) -> None:
    answer = await landing.autoloader.client.patch(
        f"/api/v1/ingestions/{landing.ingestion_id}",
        json={"source": {"allow_overwrites": policy}, "destination": {"metadata_columns": ["_file_path"]}},
    )
    assert answer.is_success, answer.text


@pytest.mark.parametrize(("policy", "ids", "files"), [("append", [1, 2, 2], 2), ("replace", [2, 2], 1)])
async def test_a_backup_from_before_a_file_was_overwritten_catches_up(
    landing: Landing, policy: OverwritePolicy, ids: list[int], files: int
) -> None:
    """It knows the first version only. The table proves the second, and says whether the first is there still: the next
    run loads nothing, and bucket, ledger and table agree."""
    await choose(landing, policy)
    await landing.put("a.json", [1])
    assert "success" == (await landing.run())["status"]
    database = landing.autoloader.environment["DATABASE_URL"]
    await back_up(database)
    await landing.put("a.json", [2, 2])
    missing = (await landing.audit())["missing"]
    assert (1, landing.uri("a.json")) == (missing["count"], missing["examples"][0]["name"])
    assert "success" == (await landing.run())["status"]
    await restore(database)
    report = await landing.rebuild()
    assert (1, 1, 0) == tuple(report[name] for name in ("batches_restored", "files_committed", "files_new"))
    audit = await landing.audit()
    assert audit["clean"], audit
    assert audit["sides"]["ledger"] == audit["sides"]["table"]
    assert (files, len(ids)) == (audit["sides"]["ledger"]["files"], audit["sides"]["ledger"]["rows"])
    assert 0 == (await landing.run())["metrics"]["files_processed"]
    assert ids == await landing.ids()
    await landing.put("a.json", [3])
    assert "success" == (await landing.run())["status"]
    assert ([*ids, 3] if policy == "append" else [3]) == await landing.ids()


@pytest.mark.parametrize(("policy", "note"), [("skip", "overwrites are skipped"), ("fail", "each run names them")])
async def test_a_version_that_the_policy_leaves_is_noted(landing: Landing, policy: OverwritePolicy, note: str) -> None:
    await choose(landing, policy)
    await landing.put("a.json", [1])
    await landing.run()
    await landing.put("a.json", [2])
    report = await landing.audit()
    assert report["clean"], report
    assert any(note in told for told in report["notes"])
    await landing.run()
    assert (await landing.audit())["clean"]
