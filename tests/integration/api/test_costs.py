"""What loading would cost, over REST: of a definition that is not stored, and of a refresh."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from libs.common.contracts.events import RunCompleted, ScanStarted
from libs.common.errors import Invalid, Temporary
from libs.common.ids import TenantId
from libs.common.ledger.model.files import FileVersion
from libs.common.storage.control import run
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.costs.handlers import Costs
from services.api.costs.model import Prices, Speed
from services.api.ingestions.schemas import IngestionIn
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, Story, definition

pytestmark = pytest.mark.asyncio


async def estimated(api: ApiUnderTest, **headers: str) -> httpx.Response:
    return await api.client.post(f"{INGESTIONS}/estimate-cost", json=definition(), headers=headers)


def land(api: ApiUnderTest, *names: str, size_bytes: int = 1000) -> None:
    bucket, prefix = definition()["source"]["path"].removeprefix("s3://").split("/", 1)
    if bucket not in api.objects.buckets:
        api.objects.create_bucket(bucket)
    for name in names:
        api.objects.put(bucket, prefix + name, b"x" * size_bytes)


async def test_a_definition_is_estimated_and_not_stored(api: ApiUnderTest) -> None:
    """Files that the pattern leaves out cost a listing only; what the estimate rests on is said."""
    land(api, "a.json", "b.json", "notes.txt")
    answer = await estimated(api)
    body = answer.json()
    assert (200, 2, 2e-6) == (answer.status_code, body["files_to_process"], body["estimated_data_size_gb"])
    parts = body["breakdown"]
    assert (1, 6, 1) == (parts["list_requests"], parts["get_requests"], parts["batches"])
    assert body["estimated_cost_usd"] == pytest.approx(parts["compute_usd"] + parts["requests_usd"])
    assert (2, 0) == (body["assumptions"]["cores"], body["assumptions"]["based_on_runs"])
    assert [] == (await api.client.get(INGESTIONS)).json()


async def test_a_source_that_cannot_be_listed_is_refused_with_the_reason(api: ApiUnderTest) -> None:
    """422 with the store's word."""
    answer = await estimated(api)
    assert (422, "bucket_not_found") == (answer.status_code, answer.json()["code"])


async def test_a_store_that_is_away_is_no_trouble_of_ours(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """422: nothing but the definition says where it is."""

    async def away(*_: object) -> AsyncIterator[Sequence[FileVersion]]:
        for page in [()]:
            yield page
            raise Temporary("the store does not answer", code="storage_unreachable")

    monkeypatch.setattr(api.objects, "pages", away)
    answer = await estimated(api)
    assert (422, "storage_unreachable") == (answer.status_code, answer.json()["code"])


async def test_a_listing_that_takes_too_long_says_so(api: ApiUnderTest) -> None:
    """422 with what to do: a part may be asked for."""
    land(api, "a.json")
    clusters = Clusters({"local": "sc://localhost:15002"})
    impatient = Costs(api.database, clusters, lambda: api.objects, Speed(), Prices(), seconds_max=0)
    caller = Caller(TenantId(api.tenant_id))
    with pytest.raises(Invalid, match="takes more than 0 s") as caught:
        await impatient.estimate(caller, IngestionIn.model_validate(definition()), None)
    assert "listing_too_long" == caught.value.code
    assert "source.path" in caught.value.hint


async def test_the_same_key_gets_the_same_estimate(api: ApiUnderTest) -> None:
    """Although a file landed meanwhile."""
    land(api, "a.json")
    first = await estimated(api, **{"Idempotency-Key": "once"})
    land(api, "b.json")
    assert first.json() == (await estimated(api, **{"Idempotency-Key": "once"})).json()
    assert 2 == (await estimated(api)).json()["files_to_process"]


async def foretold(api: ApiUnderTest, ingestion_id: str) -> dict[str, Any]:
    body = {"confirm": True, "dry_run": True}
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/refresh/full", json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_refresh_is_estimated_by_the_past(api: ApiUnderTest) -> None:
    """By the formula as long as there is none; then by how long the ingestion's runs took."""
    land(api, "a.json", "b.json")
    ingestion_id = (await api.create())["id"]
    first = await foretold(api, ingestion_id)
    assert 0 < first["impact"]["estimated_duration_minutes"] < 1
    assert 0 < first["impact"]["estimated_cost_usd"] < 0.01
    assert "no run to go by" in first["notes"][0]
    run_id = await api.request_run(ingestion_id)
    story = Story(ingestion_id, run_id)
    loaded = {"files_discovered": 2, "files_done": 2, "bytes_read": 2000, "batches_planned": 1, "batches_done": 1}
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, grow=loaded, outcome="success"))
    took = {"started_at": START, "ended_at": START + timedelta(minutes=30)}
    await api.rows(update(run).where(run.c.id == run_id).values(**took))
    second = await foretold(api, ingestion_id)
    assert second["impact"]["estimated_duration_minutes"] == pytest.approx(30)
    assert "last run" in second["notes"][0]
