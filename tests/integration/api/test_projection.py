"""Facts become the run that clients see, whatever way they come."""

import asyncio
import random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import distinct, func, literal_column, select, update

from libs.common.contracts.events import (
    FileBatchCommitted,
    FileBatchFailed,
    Problem,
    RunCompleted,
    RunFact,
    RunRequested,
    RunState,
    ScanCompleted,
    ScanFailed,
    ScanProgress,
    ScanStarted,
)
from libs.common.errors import Permanent
from libs.common.storage.control import inbox, run, run_error
from services.api.subscriptions import subscriptions
from tests.integration.api.harness import INGESTIONS, ApiUnderTest, Story, envelope

pytestmark = pytest.mark.asyncio

BAD = Problem(
    error_type="unparsable_file",
    message="line 17 is not a JSON object",
    hint="repair it",
    file="s3://landing/flights/b.json",
    line=17,
)


def a_partial_run(ingestion_id: str, run_id: str) -> list[RunFact]:
    """Two files of three are loaded; the third is broken."""
    story = Story(ingestion_id, run_id)
    batch: dict[str, Any] = {"batch_id": uuid4(), "files": 1, "records": 1000, "size_bytes": 9}
    loaded = {"files_done": 1, "batches_done": 1, "records_ingested": 1000, "bytes_read": 70, "bytes_written": 30}
    return [
        story.fact(ScanStarted, attempt=1),
        story.fact(ScanProgress, grow={"files_discovered": 3, "files_skipped": 4, "batches_planned": 3}),
        story.fact(ScanCompleted, warnings=["12 keys do not match *.json"]),
        story.fact(FileBatchCommitted, grow={**loaded, "schema_version": 1}, snapshot_id=2**62, **batch),
        story.fact(
            FileBatchFailed,
            grow={"files_failed": 1, "batches_done": 1},
            batch_id=uuid4(),
            problems=(BAD,),
            files_failed=1,
            files_replanned=0,
        ),
        story.fact(FileBatchCommitted, grow=loaded, snapshot_id=7, **batch),
        story.fact(RunCompleted, outcome="partial"),
    ]


async def requested(api: ApiUnderTest) -> tuple[str, str]:
    created = await api.create()
    return created["id"], await api.request_run(created["id"])


async def test_a_run_as_it_is_told(api: ApiUnderTest) -> None:
    """Every number, error and snapshot of the story is in the answer."""
    ingestion_id, run_id = await requested(api)
    await api.tell(*a_partial_run(ingestion_id, run_id))
    shown = await api.run(ingestion_id, run_id)
    assert {
        "id": run_id,
        "ingestion_id": ingestion_id,
        "status": "partial",
        "queued": False,
        "waiting_on": None,
        "trigger": "manual",
            "retry_of": None,
            "scope": None,
            "prediction": None,
            "cancel_requested_at": None,
        "created_at": shown["created_at"],
        "started_at": "2025-01-07T12:34:57Z",
        "ended_at": "2025-01-07T12:35:03Z",
        "progress": {
            "files_discovered": 3, "files_done": 2, "batches_planned": 3, "batches_done": 3, "eta_seconds": None
        },
        "metrics": {
            "files_processed": 2,
            "files_skipped": 4,
            "files_failed": 1,
            "records_ingested": 2000,
            "records_quarantined": 0,
            "bytes_read": 140,
            "bytes_written": 60,
            "duration_seconds": 6.0,
            "error_count": 1,
        },
        "errors": [
            {
                "file": BAD.file,
                "error_type": BAD.error_type,
                "message": BAD.message,
                "hint": BAD.hint,
                "line": 17,
                "timestamp": "2025-01-07T12:35:01Z",
            }
        ],
        "snapshots": [2**62, 7],
        "schema_version": 1,
        "warnings": ["12 keys do not match *.json"],
    } == shown  # fmt: skip
    assert [shown] == (await api.client.get(f"{INGESTIONS}/{ingestion_id}/runs")).json()


async def test_a_run_under_way_has_progress_and_an_estimate(api: ApiUnderTest) -> None:
    """Running from the first fact on."""
    ingestion_id, run_id = await requested(api)
    facts = a_partial_run(ingestion_id, run_id)
    await api.tell(facts[0])
    assert (
        (shown := await api.run(ingestion_id, run_id))["status"], shown["progress"]["eta_seconds"]
    ) == ("running", None)  # fmt: skip
    await api.tell(*facts[1:4])
    shown = await api.run(ingestion_id, run_id)
    assert (shown["status"], shown["ended_at"]) == ("running", None)
    assert shown["progress"]["eta_seconds"] > 0
    assert shown["metrics"]["duration_seconds"] > 0


@pytest.mark.parametrize("seed", range(6))
async def test_order_and_repetition_leave_no_trace(api: ApiUnderTest, seed: int) -> None:
    """Facts in any order, some twice, some as the very same event: the same run as in order."""
    chance = random.Random(seed)
    straight, shuffled = await requested(api), await requested(api)
    await api.tell(*a_partial_run(*straight))
    events = [envelope(fact) for fact in a_partial_run(*shuffled)]
    again = [envelope(event.message) for event in events[1:4]]
    delivered = [*events, *events[2:6], *again]
    chance.shuffle(delivered)
    for event in delivered:
        await api.projector.handle(event)
    expected, found = [await api.run(*each) for each in (straight, shuffled)]
    for shown in (expected, found):
        shown["snapshots"].sort()
        for name in ("id", "ingestion_id", "created_at"):
            del shown[name]
    assert expected == found


async def test_two_deliveries_at_once_fold_once(api: ApiUnderTest) -> None:
    """A rebalance may hand one event to two processes."""
    ingestion_id, run_id = await requested(api)
    events = [envelope(fact) for fact in a_partial_run(ingestion_id, run_id)]
    await asyncio.gather(*(api.projector.handle(event) for event in [*events, *events]))
    shown = await api.run(ingestion_id, run_id)
    assert (
        shown["status"], shown["metrics"]["records_ingested"], len(shown["errors"]), sorted(shown["snapshots"])
    ) == ("partial", 2000, 1, [7, 2**62])  # fmt: skip
    ids = [event.event_id for event in events]
    assert [(len(events),)] == await api.rows(select(func.count()).where(inbox.c.event_id.in_(ids)))


async def test_late_facts_change_nothing_but_add_their_details(api: ApiUnderTest) -> None:
    """A finished run stays as it ended; an error that arrives late is still shown."""
    ingestion_id, run_id = await requested(api)
    *earlier, failed, committed, completed = a_partial_run(ingestion_id, run_id)
    await api.tell(*earlier, committed, completed)
    before = await api.run(ingestion_id, run_id)
    assert before["errors"] == []
    await api.tell(failed)
    after = await api.run(ingestion_id, run_id)
    assert 1 == after["metrics"]["error_count"] == len(after["errors"])
    for name in ("status", "ended_at", "progress", "snapshots"):
        assert before[name] == after[name]


async def test_errors_of_one_file_on_different_lines_are_different(api: ApiUnderTest) -> None:
    """And the very same one is kept once, whoever tells it."""
    ingestion_id, run_id = await requested(api)
    story = Story(ingestion_id, run_id)
    at_line_99 = BAD.model_copy(update={"line": 99})
    await api.tell(
        story.fact(ScanProgress, problems=[BAD, at_line_99]),
        story.fact(ScanProgress, problems=[BAD]),
        story.fact(ScanFailed, problem=Problem(error_type="bucket_not_found", message="no bucket landing")),
        story.fact(ScanFailed, problem=Problem(error_type="bucket_not_found", message="no bucket landing")),
    )
    errors = (await api.run(ingestion_id, run_id))["errors"]
    assert sorted([error["line"] for error in errors if error["line"]], reverse=True) == [99, 17]
    assert len(errors) == 3


async def test_many_errors_are_counted_and_the_first_hundred_shown(api: ApiUnderTest) -> None:
    """A detail stays readable; the history shows a handful."""
    ingestion_id, run_id = await requested(api)
    story = Story(ingestion_id, run_id)
    problems = [Problem(error_type="unparsable_file", message="bad", file=f"s3://b/{i:03}") for i in range(250)]
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(ScanProgress, problems=problems))
    shown = await api.run(ingestion_id, run_id)
    assert (shown["metrics"]["error_count"], len(shown["errors"])) == (250, 100)
    [listed] = (await api.client.get(f"{INGESTIONS}/{ingestion_id}/runs")).json()
    assert (listed["metrics"]["error_count"], len(listed["errors"])) == (250, 5)


async def test_a_message_that_quotes_a_nul_is_kept(api: ApiUnderTest) -> None:
    """A broken file's content may be quoted; Postgres keeps no NUL."""
    ingestion_id, run_id = await requested(api)
    fact = Story(ingestion_id, run_id).fact(ScanCompleted, warnings=["w\x00w"])
    problem = Problem(error_type="unparsable_file", message="near 'a\x00b'")
    await api.tell(fact, Story(ingestion_id, run_id).fact(ScanProgress, problems=[problem]))
    shown = await api.run(ingestion_id, run_id)
    assert (shown["warnings"], shown["errors"][0]["message"]) == (["w\ufffdw"], "near 'a\ufffdb'")


async def test_a_fact_of_a_run_that_nobody_asked_for_is_set_aside(api: ApiUnderTest) -> None:
    """It can never be folded, so it is a dead letter; and it is not remembered as taken in."""
    event = envelope(Story(str(uuid4()), str(uuid4())).fact(ScanStarted, attempt=1))
    with pytest.raises(Permanent) as caught:
        await api.projector.handle(event)
    assert caught.value.code == "unknown_run"
    assert await api.rows(select(inbox).where(inbox.c.event_id == event.event_id)) == []


async def test_facts_that_come_at_once_share_a_transaction(api: ApiUnderTest) -> None:
    """A flood of facts costs a few transactions; each run ends up as its own facts say."""
    runs = [await requested(api) for _ in range(12)]
    stories = [[envelope(fact) for fact in a_partial_run(*each)] for each in runs]
    for events in zip(*stories, strict=True):
        await asyncio.gather(*(api.projector.handle(event) for event in events))
    for each in runs:
        shown = await api.run(*each)
        assert ("partial", 2000, [7, 2**62], 1) == (
            shown["status"],
            shown["metrics"]["records_ingested"],
            sorted(shown["snapshots"]),
            shown["metrics"]["error_count"],
        )
    ids = [event.event_id for events in stories for event in events]
    transactions = select(func.count(distinct(literal_column("xmin::text")))).select_from(inbox)
    [(count,)] = await api.rows(transactions.where(inbox.c.event_id.in_(ids)))
    assert count == len(stories[0])


async def test_facts_of_one_run_in_one_transaction_count_in_their_order(api: ApiUnderTest) -> None:
    """They are told once, as the run is after the last of them."""
    ingestion_id, run_id = await requested(api)
    await asyncio.gather(*(api.projector.handle(envelope(fact)) for fact in a_partial_run(ingestion_id, run_id)))
    assert ("partial", 2000) == (
        (shown := await api.run(ingestion_id, run_id))["status"], shown["metrics"]["records_ingested"]
    )  # fmt: skip
    told = [state for state in await api.commands(run_id) if isinstance(state, RunState)]
    assert [(1, "accepted"), (2, "partial")] == [(state.revision, state.status) for state in told]


async def test_a_fact_that_cannot_be_folded_fails_alone(api: ApiUnderTest) -> None:
    """Those that came with it are folded all the same."""
    runs = [await requested(api) for _ in range(3)]
    nobodys = (str(uuid4()), str(uuid4()))
    events = [envelope(Story(*each).fact(ScanStarted, attempt=1)) for each in (*runs, nobodys)]
    *folded, refused = await asyncio.gather(*map(api.projector.handle, events), return_exceptions=True)
    assert [None, None, None] == folded
    assert isinstance(refused, Permanent)
    assert ["running"] * 3 == [(await api.run(*each))["status"] for each in runs]


async def test_a_run_from_before_states_were_told_is_folded_too(api: ApiUnderTest) -> None:
    """Its row came to revision 0 with the migration that brought revisions."""
    ingestion_id, run_id = await requested(api)
    await api.rows(update(run).where(run.c.id == UUID(run_id)).values(revision=0))
    await api.tell(Story(ingestion_id, run_id).fact(ScanStarted, attempt=1))
    assert 1 == [state for state in await api.commands(run_id) if isinstance(state, RunState)][-1].revision


async def test_every_fact_has_its_handler(api: ApiUnderTest) -> None:
    """The table of subscriptions covers the run-status topic, and nothing that the API does not read."""
    for topic, handlers in subscriptions(api.projector, api.refreshes).items():
        assert set(topic.messages) == handlers.keys()
        assert "api" in topic.readers
    request = RunRequested(run_id=uuid4(), ingestion_id=uuid4(), generation=1, tenant_id="t", trigger="manual")
    with pytest.raises(Permanent):
        await api.projector.handle(envelope(request))


async def test_problems_are_stored_under_their_run(api: ApiUnderTest) -> None:
    """One row per problem."""
    ingestion_id, run_id = await requested(api)
    await api.tell(*a_partial_run(ingestion_id, run_id))
    rows = await api.rows(select(run_error).where(run_error.c.run_id == UUID(run_id)))
    assert [(BAD.error_type, BAD.file, BAD.line)] == [(row.error_type, row.file, row.line) for row in rows]
