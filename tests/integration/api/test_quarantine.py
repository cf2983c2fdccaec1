"""Looking at bad records over REST."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from libs.common.contracts.scope import Scope
from libs.common.ids import IngestionId, RunId, new_batch_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model.batches import BurnVerdict, PlannedBatch, PublishedBatch
from libs.common.ledger.model.files import BadRecord, BadRecords, FileVersion
from libs.common.ledger.model.scans import Page
from libs.common.ledger.scans import ScanLedger
from libs.common.storage.definitions import RunDefinitions
from libs.common.storage.outbox import Outbox
from tests.integration.api.harness import INGESTIONS, ApiUnderTest, definition

pytestmark = pytest.mark.asyncio
LONG = timedelta(minutes=5)
FIRST = BadRecord(2, "not JSON", "what?")


async def loaded(api: ApiUnderTest, **changes: Any) -> tuple[dict[str, Any], str, dict[str, FileVersion]]:
    """Three files: a and b were loaded without their bad records, and the batch of c was burned."""
    created = await api.create(**changes)
    bucket, prefix = created["source"]["path"].removeprefix("s3://").split("/", 1)
    run_id = await api.request_run(created["id"])
    api.objects.create_bucket(bucket)
    files = {name: api.objects.put(bucket, f"{prefix}{name}.json", b"{}\n") for name in "abc"}
    a, b, c = files.values()
    out = Outbox(source="autoloader/test")
    scan = ScanLedger(api.database, out, owner="s", lease=LONG)
    executor = BatchLedger(api.database, out, owner="e", lease=LONG)
    claim = await scan.claim(RunId(UUID(run_id)), IngestionId(UUID(created["id"])), 1)
    assert claim is not None
    good, burned = PlannedBatch(new_batch_id(), (a, b)), PlannedBatch(new_batch_id(), (c,))
    await scan.complete(claim, Page(taken=(a, b, c), batches=(good, burned)), ())
    first, second = await executor.claim(good.id), await executor.claim(burned.id)
    assert first is not None
    assert second is not None
    bad = {a.digest: BadRecords(2, (FIRST,)), b.digest: BadRecords(1, (BadRecord(None, "odd", None),))}
    await executor.staged(first, {a.digest: 3, b.digest: 0}, bad)
    await executor.published(first, PublishedBatch(2**62, 100, ()))
    await executor.staged(second, {c.digest: 3}, {c.digest: BadRecords(2, (FIRST,))})
    await executor.burned(second, BurnVerdict())
    return created, run_id, files


async def listed(api: ApiUnderTest, ingestion_id: str, **params: Any) -> list[dict[str, Any]]:
    answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/quarantine", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_each_file_with_bad_records_and_the_first_of_them(api: ApiUnderTest) -> None:
    """Not those of a batch that did not happen."""
    created, run_id, files = await loaded(api)
    a, b = sorted(await listed(api, created["id"]), key=lambda each: str(each["file"]))
    assert (files["a"].uri, 3, 2) == (a["file"], a["records_loaded"], a["records_quarantined"])
    assert [{"line": 2, "reason": "not JSON", "raw": "what?"}] == a["first"]
    assert (files["b"].uri, [{"line": None, "reason": "odd", "raw": None}]) == (b["file"], b["first"])
    assert {run_id} == {a["run_id"], b["run_id"]}
    to = created["destination"]
    assert f"{to['catalog']}.{to['database']}.{to['table']}__quarantine" == a["table"]


async def test_one_file_and_pages(api: ApiUnderTest) -> None:
    """By key or by address; the headers tell of the rest."""
    created, _, files = await loaded(api)
    for name in (files["a"].key, files["a"].uri):
        assert [files["a"].uri] == [each["file"] for each in await listed(api, created["id"], file=name)]
    assert [] == await listed(api, created["id"], file=files["c"].key)
    answer = await api.client.get(f"{INGESTIONS}/{created['id']}/quarantine", params={"limit": 1})
    assert ("2", True) == (answer.headers["X-Total-Count"], 'rel="next"' in answer.headers["Link"])


async def test_an_ingestion_that_has_none_or_is_not_there(api: ApiUnderTest) -> None:
    """An empty list, and 404; a key that none can have is refused."""
    created = await api.create()
    assert [] == await listed(api, created["id"])
    path = f"{INGESTIONS}/{UUID(int=0)}/quarantine"
    assert 404 == (await api.client.get(path)).status_code
    refused = await api.client.get(f"{INGESTIONS}/{created['id']}/quarantine", params={"file": "a\0b"})
    assert (422, "invalid_key") == (refused.status_code, refused.json()["code"])


WITH_FILE_COLUMN = {"destination": {**definition()["destination"], "metadata_columns": ["_file_path"]}}


async def replay(api: ApiUnderTest, ingestion_id: str, body: dict[str, Any] | None = None) -> httpx.Response:
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/quarantine/replay", json=body)


async def test_a_replay_reloads_the_files_with_bad_records(api: ApiUnderTest) -> None:
    """All of them, or those that are named; not those that have none."""
    created, _, files = await loaded(api, **WITH_FILE_COLUMN)
    a, b, c = files.values()
    answer = await replay(api, created["id"], {"files": [a.uri, c.key]})
    assert 202 == answer.status_code, answer.text
    scope = (await RunDefinitions(api.database, api.box).of(UUID(answer.json()["run_id"]))).scope
    assert Scope(keys=(a.key,), again=True, is_backfill=True) == scope
    everything = await replay(api, created["id"])
    assert 202 == everything.status_code, everything.text
    scope = (await RunDefinitions(api.database, api.box).of(UUID(everything.json()["run_id"]))).scope
    assert Scope(keys=(a.key, b.key), again=True, is_backfill=True) == scope


async def test_a_replay_that_cannot_be_is_refused(api: ApiUnderTest) -> None:
    """Nothing is quarantined, or rows do not say which file they came from."""
    empty = await replay(api, (await api.create())["id"], {})
    assert (409, "nothing_quarantined") == (empty.status_code, empty.json()["code"])
    created, _, files = await loaded(api)
    refused = await replay(api, created["id"])
    assert (409, "file_column_missing") == (refused.status_code, refused.json()["code"])
    other = await replay(api, created["id"], {"files": [files["c"].key]})
    assert (409, "nothing_quarantined") == (other.status_code, other.json()["code"])
    assert 422 == (await replay(api, created["id"], {"files": []})).status_code
