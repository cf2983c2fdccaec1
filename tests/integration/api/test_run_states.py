"""Each change of a run is told as the whole run, under a revision that only grows."""

from uuid import UUID

import pytest
from sqlalchemy import delete, select

from libs.common.contracts.codec import decode
from libs.common.contracts.events import RunState, ScanStarted
from libs.common.contracts.topics import RUN_STATE
from libs.common.ledger.tables import scan
from libs.common.storage.control import outbox
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, Story
from tests.integration.api.test_projection import a_partial_run

pytestmark = pytest.mark.asyncio


async def told(api: ApiUnderTest, run_id: str) -> list[RunState]:
    """What waits in the outbox for those who follow states, in the order in which it will be sent."""
    topic = RUN_STATE.name()
    query = select(outbox.c.value).where(outbox.c.topic == topic, outbox.c.key == run_id).order_by(outbox.c.id)
    states = [decode(row.value).message for row in await api.rows(query)]
    return [state for state in states if isinstance(state, RunState)]


async def test_every_change_of_a_run_is_told(api: ApiUnderTest) -> None:
    """From request to end; the last one is what REST shows, without lists of files."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    facts = a_partial_run(ingestion_id, run_id)
    await api.tell(*facts)
    states = await told(api, run_id)
    assert list(range(1, len(facts) + 2)) == [state.revision for state in states]
    assert list(range(len(facts) + 1)) == [state.seq for state in states]
    assert ["accepted", "running", "partial"] == list(dict.fromkeys(state.status for state in states))
    first, last, shown = states[0], states[-1], await api.run(ingestion_id, run_id)
    assert (api.tenant_id, "lake.demo.flights", "manual", "fresh") == (
        first.tenant_id, first.table, first.trigger, first.lane,
    )  # fmt: skip
    assert not first.queued
    assert (2, 1, shown["warnings"]) == (last.snapshot_count, last.error_count, list(last.warnings))
    assert shown["errors"][0]["message"] == last.problems[0].message
    assert shown["metrics"]["records_ingested"] == last.totals.records_ingested == 2000
    assert shown["ended_at"] == last.model_dump(mode="json")["ended_at"]


async def test_facts_that_come_twice_or_late_do_not_take_a_state_back(api: ApiUnderTest) -> None:
    """seq never falls, whatever way the facts come, and a final status stays."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    facts = a_partial_run(ingestion_id, run_id)
    await api.tell(*reversed(facts), *facts)
    states = await told(api, run_id)
    assert sorted(state.seq for state in states) == [state.seq for state in states]
    assert sorted(state.revision for state in states) == [state.revision for state in states]
    assert {"accepted", "partial"} == {state.status for state in states}
    assert await api.run(ingestion_id, run_id)
    assert len(facts) == states[-1].seq


async def test_waiting_and_going_on_are_changes_too(api: ApiUnderTest) -> None:
    """No fact tells of them."""
    ingestion_id = (await api.create())["id"]
    first, second = [await api.request_run(ingestion_id) for _ in range(2)]
    assert [True] == [state.queued for state in await told(api, second)]
    await api.end(ingestion_id, first)
    assert [True, False] == [state.queued for state in await told(api, second)]


async def test_a_cancelled_run_says_since_when(api: ApiUnderTest) -> None:
    """Also one that was never begun, and ends at once."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/runs/{run_id}/cancel")
    assert answer.status_code == 202, answer.text
    last = (await told(api, run_id))[-1]
    assert last.cancel_requested_at is not None
    assert answer.json()["status"] == last.status


async def test_an_end_that_only_the_ledger_knows_is_told(api: ApiUnderTest) -> None:
    """Its message was lost; the sweeper finds it, and readers of the topic hear of it as of any other."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    story = Story(ingestion_id, run_id)
    await api.tell(story.fact(ScanStarted, attempt=1))
    await api.rows(delete(outbox).where(outbox.c.key == run_id))
    ended = {"state": "ended", "outcome": "success", "seq": 2, "totals": {}, "ended_at": START}
    ids = {"run_id": UUID(run_id), "ingestion_id": UUID(ingestion_id), "generation": 1}
    await api.rows(scan.insert().values(**ids, **ended))
    assert [UUID(run_id)] == await api.sweeper.end_finished()
    states = await told(api, run_id)
    assert "success" == states[-1].status
    assert states[0].revision == 3
