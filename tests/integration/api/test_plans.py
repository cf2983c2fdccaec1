"""Plans over REST: what would be loaded, exactly, and what is refused later."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, update

from libs.common.contracts.events import RunCompleted, ScanStarted, TableRefreshed
from libs.common.contracts.scope import Scope
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import schema_version
from libs.common.storage.control import run
from libs.common.storage.definitions import RunDefinitions
from libs.common.storage.plans import PlannedFiles, plan, plan_file
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, Story, envelope

pytestmark = pytest.mark.asyncio

EARLIER = str(UUID(int=1))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def land(api: ApiUnderTest, *names: str) -> list[FileVersion]:
    return [api.objects.put("landing", f"flights/{name}", b"x" * 10) for name in names]


async def planned(api: ApiUnderTest, ingestion_id: str, **asked: Any) -> dict[str, Any]:
    api.objects.create_bucket("landing")
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/plan", json=asked)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    assert shown == (await api.client.get(answer.headers["Location"])).json()
    return shown


async def apply(api: ApiUnderTest, ingestion_id: str, plan_id: str) -> httpx.Response:
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/run", json={"plan_id": plan_id})


async def test_a_plan_names_what_a_run_would_load(api: ApiUnderTest) -> None:
    """Loaded and failed files are skipped, what cannot be read is counted, what does not match is not there."""
    ingestion_id = (await api.create())["id"]
    new, loaded, failed, *_ = land(api, "a.json", "b.json", "c.json", "_d.json", "e.csv")
    await api.ledger_has(ingestion_id, loaded, FileState.COMMITTED, EARLIER)
    await api.ledger_has(ingestion_id, failed, FileState.FAILED, EARLIER)
    shown = await planned(api, ingestion_id)
    assert (1, 10, 1) == tuple(shown["predicted"][name] for name in ("files", "size_bytes", "snapshots"))
    assert (2, 1) == (shown["files_skipped"], shown["files_refused"])
    assert None is shown["predicted"]["records"]
    [note] = shown["notes"]
    assert "no run has loaded anything yet" in note
    assert "records are not known" in note
    [first] = shown["first_files"]
    assert (new.key, new.version_tag) == (first["key"], first["version"])
    full = await planned(api, ingestion_id, kind="refresh_full")
    assert 3 == full["predicted"]["files"]
    assert "/refresh/full" in full["next_steps"]["to_proceed"]


async def test_the_first_lines_tell_what_the_schema_becomes(api: ApiUnderTest) -> None:
    """And, as long as there is no run to go by, how many records there are."""
    ingestion_id = (await api.create())["id"]
    columns = [{"name": "id", "type": "bigint"}]
    values = {"ingestion_id": UUID(ingestion_id), "generation": 1, "version": 1, "columns": columns}
    await api.rows(schema_version.insert().values(**values, batch_id=UUID(int=1)))
    api.objects.put("landing", "flights/a.json", b'{"id":1,"new":true}\n{"id":2}\n')
    shown = await planned(api, ingestion_id)
    added = {"name": "new", "type": "boolean", "first_file": "flights/a.json"}
    assert {"columns_added": [added], "files_looked_into": 1, "is_all": True} == shown["schema_change"]
    assert 2 == shown["predicted"]["records"]
    anew = await planned(api, ingestion_id, kind="refresh_full")
    assert ["id", "new"] == sorted(c["name"] for c in anew["schema_change"]["columns_added"])


async def test_past_runs_tell_how_many_records_to_expect(api: ApiUnderTest) -> None:
    ingestion_id = (await api.create())["id"]
    story = Story(ingestion_id, await api.request_run(ingestion_id))
    did = {"files_discovered": 1, "files_done": 1, "bytes_read": 100, "records_ingested": 40, "batches_done": 1}
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, grow=did, outcome="success"))
    land(api, "a.json", "b.json")
    assert 8 == (await planned(api, ingestion_id))["predicted"]["records"]


async def test_the_files_of_a_plan_come_in_pages(api: ApiUnderTest) -> None:
    ingestion_id = (await api.create())["id"]
    files = land(api, *(f"{n}.json" for n in range(5)))
    shown = await planned(api, ingestion_id)
    path = f"{INGESTIONS}/{ingestion_id}/plans/{shown['id']}/files"
    answer = await api.client.get(path, params={"limit": 2, "offset": 2})
    assert ["flights/2.json", "flights/3.json"] == [f["key"] for f in answer.json()]
    assert "5" == answer.headers["X-Total-Count"]
    stored = [f async for page in PlannedFiles(api.database).pages(UUID(shown["id"])) for f in page]
    assert [f.version_tag for f in files] == [f.version_tag for f in stored]


async def test_a_plan_is_applied_by_a_run_of_its_own(api: ApiUnderTest) -> None:
    """The run carries what was expected, and shows beside it what came of it."""
    ingestion_id = (await api.create())["id"]
    land(api, "a.json")
    shown = await planned(api, ingestion_id)
    answer = await apply(api, ingestion_id, shown["id"])
    assert 202 == answer.status_code, answer.text
    run_id = answer.json()["run_id"]
    order = await RunDefinitions(api.database, api.box).of(UUID(run_id))
    assert Scope(plan_id=UUID(shown["id"])) == order.scope
    before = (await api.run(ingestion_id, run_id))["prediction"]
    assert (shown["predicted"], None) == (before["predicted"], before["actual"])
    story = Story(ingestion_id, run_id)
    did = {"files_discovered": 1, "files_done": 1, "bytes_read": 10, "records_ingested": 4, "batches_done": 1}
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, grow=did, outcome="success"))
    actual = (await api.run(ingestion_id, run_id))["prediction"]["actual"]
    assert (1, 10, 4) == (actual["files"], actual["size_bytes"], actual["records"])
    assert actual["cost_usd"] > 0
    assert actual["duration_seconds"] > 0


async def test_a_plan_of_a_backfill_runs_in_the_backfills_lane(api: ApiUnderTest) -> None:
    """Its caps held when it was made."""
    ingestion_id = (await api.create())["id"]
    land(api, "a.json", "b.json", "c.json")
    await api.request_run(ingestion_id)
    part = {"prefix": "flights/", "max_files": 2}
    shown = await planned(api, ingestion_id, kind="backfill", backfill=part)
    assert 2 == shown["predicted"]["files"]
    assert any("there are more" in note for note in shown["notes"])
    accepted = (await apply(api, ingestion_id, shown["id"])).json()
    assert not accepted["queued"]
    assert "backfill" == (await api.run(ingestion_id, accepted["run_id"]))["trigger"]


@pytest.mark.parametrize("change", ["definition", "generation"])
async def test_a_plan_does_not_outlive_what_it_is_of(api: ApiUnderTest, change: str) -> None:
    ingestion_id = (await api.create())["id"]
    shown = await planned(api, ingestion_id)
    if change == "definition":
        await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json={"name": "changed"})
    else:
        await api.rows(update(plan).where(plan.c.id == UUID(shown["id"])).values(generation=0))
    answer = await apply(api, ingestion_id, shown["id"])
    assert (409, "plan_outdated") == (answer.status_code, answer.json()["code"])
    assert "/plan" in answer.json()["hint"]


async def test_a_plan_of_a_refresh_is_no_run(api: ApiUnderTest) -> None:
    ingestion_id = (await api.create())["id"]
    shown = await planned(api, ingestion_id, kind="refresh_new_only")
    answer = await apply(api, ingestion_id, shown["id"])
    assert (422, "plan_of_another") == (answer.status_code, answer.json()["code"])
    assert "/refresh/new-only" in answer.json()["hint"]


async def test_a_refresh_has_its_run_load_a_plan(api: ApiUnderTest) -> None:
    """It waits with the refresh; the run shows what the refresh expected of it."""
    ingestion_id = (await api.create())["id"]
    land(api, "a.json")
    path = f"{INGESTIONS}/{ingestion_id}/refresh/full"
    of_new_only = await planned(api, ingestion_id, kind="refresh_new_only")
    refused = await api.client.post(path, json={"confirm": True, "plan_id": of_new_only["id"]})
    assert (422, "plan_of_another") == (refused.status_code, refused.json()["code"])
    shown = await planned(api, ingestion_id, kind="refresh_full")
    idle = await api.client.post(path, json={"confirm": True, "auto_run": False, "plan_id": shown["id"]})
    assert 422 == idle.status_code
    assert "auto_run" in idle.text

    accepted = await api.client.post(path, json={"confirm": True, "plan_id": shown["id"]})
    assert 202 == accepted.status_code, accepted.text
    await api.rows(update(plan).where(plan.c.id == UUID(shown["id"])).values(created_at=LONG_AGO))
    await api.sweeper.forget_old()
    refresh_id = UUID(accepted.json()["refresh_id"])
    fact = TableRefreshed(
        refresh_id=refresh_id, ingestion_id=UUID(ingestion_id), from_generation=1, to_generation=2,
        occurred_at=START, kept_as=None, files_loaded_before=0, files_kept=0,
    )  # fmt: skip
    await api.refreshes.on_refreshed(envelope(fact))
    [row] = await api.rows(select(run).where(run.c.ingestion_id == UUID(ingestion_id)))
    assert ("refresh", {"plan_id": shown["id"]}) == (row.trigger, row.scope)
    predicted = (await api.run(ingestion_id, str(row.id)))["prediction"]["predicted"]
    assert (1, 10) == (predicted["files"], predicted["size_bytes"])


async def test_what_cannot_be_planned_is_refused_by_name(api: ApiUnderTest) -> None:
    ingestion_id = (await api.create())["id"]
    land(api, *(f"{n:02}.json" for n in range(11)))
    path = f"{INGESTIONS}/{ingestion_id}/plan"
    for body, told in [
        ({}, "plan_too_large"),
        ({"kind": "run", "backfill": {}}, "belongs to kind"),
        ({"kind": "backfill", "backfill": {"prefix": "elsewhere/"}}, "prefix_outside_source"),
        ({"kind": "sorcery"}, "kind"),
    ]:
        answer = await api.client.post(path, json=body)
        assert 422 == answer.status_code
        assert told in answer.text
    api.objects.buckets.clear()
    assert "bucket_not_found" == (await api.client.post(path, json={})).json()["code"]
    unknown = await apply(api, ingestion_id, str(UUID(int=5)))
    assert (404, "unknown_plan") == (unknown.status_code, unknown.json()["code"])


async def test_old_plans_are_forgotten_unless_a_run_waits_for_them(api: ApiUnderTest) -> None:
    """With their files."""
    ingestion_id = (await api.create())["id"]
    land(api, "a.json")
    await api.request_run(ingestion_id)
    applied, idle = [(await planned(api, ingestion_id))["id"] for _ in range(2)]
    assert (await apply(api, ingestion_id, applied)).json()["queued"]
    of_ours = plan.c.ingestion_id == UUID(ingestion_id)
    await api.rows(update(plan).where(of_ours).values(created_at=LONG_AGO))
    await api.sweeper.forget_old()
    assert [UUID(applied)] == [row.id for row in await api.rows(select(plan.c.id).where(of_ours))]
    [row] = await api.rows(select(func.count()).where(plan_file.c.plan_id == UUID(idle)))
    assert 0 == row[0]
