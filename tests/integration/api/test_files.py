"""Looking at files over REST: the list with its filters, and the explanation of any key."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.common.contracts.events import Problem
from libs.common.errors import Temporary
from libs.common.ids import IngestionId, RunId, new_batch_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model.batches import BurnVerdict, Fate, PlannedBatch, PublishedBatch
from libs.common.ledger.model.scans import Page
from libs.common.ledger.scans import ScanLedger
from libs.common.ledger.states import FileState
from libs.common.storage.outbox import Outbox
from tests.integration.api.harness import INGESTIONS, ApiUnderTest

pytestmark = pytest.mark.asyncio
LONG = timedelta(minutes=5)
BROKEN = Problem(error_type="unparsable_file", message="line 17 is not one JSON object")


async def loaded(api: ApiUnderTest) -> tuple[dict[str, Any], str]:
    """Three files were found: a is in the table, b is broken, and c waits."""
    created = await api.create()
    bucket, prefix = created["source"]["path"].removeprefix("s3://").split("/", 1)
    run_id = await api.request_run(created["id"])
    api.objects.create_bucket(bucket)
    a, b, c = (api.objects.put(bucket, f"{prefix}{name}.json", b"{}\n") for name in "abc")
    out = Outbox(source="autoloader/test")
    scanner = ScanLedger(api.database, out, owner="s", lease=LONG)
    executor = BatchLedger(api.database, out, owner="e", lease=LONG)
    claim = await scanner.claim(RunId(UUID(run_id)), IngestionId(UUID(created["id"])), 1)
    assert claim is not None
    good, bad = PlannedBatch(new_batch_id(), (a,)), PlannedBatch(new_batch_id(), (b,))
    await scanner.record(claim, Page(taken=(a, b, c), batches=(good, bad)))
    await scanner.break_off(claim, Problem(error_type="storage_unreachable", message="the store went away"))
    first, second = await executor.claim(good.id), await executor.claim(bad.id)
    assert first is not None
    assert second is not None
    await executor.staged(first, {a.digest: 3})
    await executor.published(first, PublishedBatch(2**62, 100, ()))
    await executor.burned(second, BurnVerdict({b.digest: Fate(FileState.FAILED, BROKEN)}))
    return created, run_id


async def listed(api: ApiUnderTest, ingestion_id: str, **params: Any) -> list[dict[str, Any]]:
    answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/files", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def name(file: dict[str, Any]) -> str:
    return str(file["key"]).rsplit("/", 1)[-1]


async def test_each_file_and_what_became_of_it(api: ApiUnderTest) -> None:
    """With its rows and snapshot if it is in the table, and the reason if it is not."""
    created, run_id = await loaded(api)
    files = {name(f): f for f in await listed(api, created["id"])}
    assert {"a.json": "committed", "b.json": "failed", "c.json": "discovered"} == {
        n: f["state"] for n, f in files.items()
    }
    assert (3, 2**62, None) == tuple(files["a.json"][field] for field in ("records", "snapshot_id", "error"))
    assert (None, None, BROKEN.message) == tuple(
        files["b.json"][field] for field in ("records", "snapshot_id", "error")
    )
    assert {run_id} == {f["run_id"] for f in files.values()}
    assert created["source"]["path"] + "a.json" == files["a.json"]["uri"]


async def test_filters_and_pages(api: ApiUnderTest) -> None:
    """State, prefix and run, alone or together; the headers tell of the rest."""
    created, run_id = await loaded(api)
    ingestion_id, prefix = created["id"], created["source"]["path"].removeprefix("s3://").split("/", 1)[1]
    assert ["b.json"] == [name(f) for f in await listed(api, ingestion_id, state="failed")]
    assert ["c.json"] == [name(f) for f in await listed(api, ingestion_id, prefix=f"{prefix}c")]
    assert [] == await listed(api, ingestion_id, prefix="%")
    assert 3 == len(await listed(api, ingestion_id, run_id=run_id))
    assert [] == await listed(api, ingestion_id, run_id=str(UUID(int=0)))
    assert [] == await listed(api, ingestion_id, state="failed", prefix=f"{prefix}c")
    answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/files", params={"limit": 2, "run_id": run_id})
    assert ("3", 2) == (answer.headers["X-Total-Count"], len(answer.json()))
    assert 'rel="next"' in answer.headers["Link"]
    assert f"run_id={run_id}" in answer.headers["Link"]
    for wrong in ({"state": "lost"}, {"prefix": "\x00"}):
        refused = await api.client.get(f"{INGESTIONS}/{ingestion_id}/files", params=wrong)
        assert 422 == refused.status_code


async def explained(api: ApiUnderTest, ingestion_id: str, key: str) -> dict[str, Any]:
    answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/files/explain", params={"key": key})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_any_key_is_explained(api: ApiUnderTest) -> None:
    """By key or by address; also one that nobody ever saw, and one that cannot be asked for."""
    created, run_id = await loaded(api)
    ingestion_id, path = created["id"], created["source"]["path"]
    bucket, prefix = path.removeprefix("s3://").split("/", 1)
    api.objects.put(bucket, f"{prefix}new.json", b"{}")
    verdicts = {
        key: (await explained(api, ingestion_id, key))["verdict"]
        for key in (
            f"{prefix}a.json", f"{path}b.json", f"{prefix}c.json", f"{prefix}new.json", f"{prefix}never.json",
            f"{prefix}a.csv", "s3://elsewhere/a.json",
        )
    }  # fmt: skip
    assert ["loaded", "failed", "waiting", "never_seen", "never_seen", "excluded", "excluded"] == list(
        verdicts.values()
    )
    failed = await explained(api, ingestion_id, f"{prefix}b.json")
    assert any(BROKEN.message in told for told in failed["evidence"])
    assert f"/runs/{run_id}/retry" in failed["next_action"]
    assert ["failed"] == [version["state"] for version in failed["versions"]]
    for bad in ("s3://", "a\x00b"):
        answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/files/explain", params={"key": bad})
        assert (422, "invalid_key") == (answer.status_code, answer.json()["code"])


async def test_a_store_that_is_away_is_said(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ledger knows is told all the same."""
    created, _ = await loaded(api)
    prefix = created["source"]["path"].removeprefix("s3://").split("/", 1)[1]

    async def away(*_: object) -> dict[str, str | None]:
        raise Temporary("the store does not answer", code="storage_unreachable")

    monkeypatch.setattr(api.objects, "versions", away)
    found = await explained(api, created["id"], f"{prefix}a.json")
    assert "loaded" == found["verdict"]
    assert "what is there now is not known: the store does not answer" == found["evidence"][-1]


async def test_nobody_sees_the_files_of_others(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """404."""
    created, _ = await loaded(api)
    for path in ("files", "files/explain?key=a"):
        answer = await neighbour.client.get(f"{INGESTIONS}/{created['id']}/{path}")
        assert (404, "unknown_ingestion") == (answer.status_code, answer.json()["code"])
