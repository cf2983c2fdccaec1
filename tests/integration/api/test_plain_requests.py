"""Requests for runs that come at once share transactions, and each gets what it would have got alone."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select

from libs.common.contracts.codec import decode
from libs.common.contracts.events import Problem, RunRequested, RunState
from libs.common.ids import IngestionId, TenantId
from libs.common.ledger.ingestions import halt, hold_generation
from libs.common.storage.control import audit, ingestion, outbox, run
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.idempotency import Answer, Once, at_most_once
from services.api.runs.plain import AT_ONCE
from services.api.runs.requests import RunRequests
from tests.integration.api.harness import INGESTIONS, ApiUnderTest

pytestmark = pytest.mark.asyncio


async def ingestions(api: ApiUnderTest, count: int) -> list[UUID]:
    return [UUID(created["id"]) for created in await asyncio.gather(*(api.create() for _ in range(count)))]


def once() -> Once:
    return Once(uuid4().hex, b"the same request")


def caller(api: ApiUnderTest) -> Caller:
    return Caller(TenantId(api.tenant_id), "tester")


async def post(api: ApiUnderTest, ingestion_id: UUID | str, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/run", headers=headers)


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def runs(api: ApiUnderTest, ids: Sequence[UUID]) -> list[Any]:
    return await api.rows(select(run).where(run.c.ingestion_id.in_(ids)))


async def test_two_hundred_requests_at_once_are_two_transactions(api: ApiUnderTest) -> None:
    """Each ingestion gets its run, which is told once, in order, and is in the audit trail once."""
    ids = await ingestions(api, 2 * AT_ONCE)
    onces = [once() for _ in ids]

    async def ask() -> list[Answer]:
        asking = (api.run_requests.request(caller(api), id_, key) for id_, key in zip(ids, onces, strict=True))
        return await asyncio.gather(*asking)

    answers = await ask()
    begun = {UUID(answer.body["run_id"]): id_ for answer, id_ in zip(answers, ids, strict=True)}
    assert {(202, False, False)} == {(each.status, each.replayed, each.body["queued"]) for each in answers}
    stored = await runs(api, ids)
    assert begun == {row.id: row.ingestion_id for row in stored}
    assert 2 == len({row.created_at for row in stored})  # the times of their transactions
    assert {row.created_at for row in stored} == {row.dispatched_at for row in stored}
    messages = [decode(row.value).message for row in await api.rows(select(outbox).order_by(outbox.c.id))]
    mine = [m for m in messages if isinstance(m, RunState | RunRequested) and m.run_id in begun]
    by_run = {run_id: [type(m) for m in mine if m.run_id == run_id] for run_id in begun}
    assert {run_id: [RunState, RunRequested] for run_id in begun} == by_run
    at = {row.id: row.created_at for row in stored}
    assert at == {m.run_id: m.created_at for m in mine if isinstance(m, RunState)}
    trail = await api.rows(select(audit).where(audit.c.subject_id.in_(ids), audit.c.action == "run.requested"))
    assert Counter((id_, "tester", str(run_id), "manual") for run_id, id_ in begun.items()) == Counter(
        (row.subject_id, row.actor, row.details["run_id"], row.details["trigger"]) for row in trail
    )
    assert [(each.body, True) for each in answers] == [(again.body, again.replayed) for again in await ask()]


async def test_a_run_has_what_its_ingestion_has(api: ApiUnderTest) -> None:
    """The same row, and the same message, as a run that is stored by itself: here one that waits, which is."""
    [ingestion_id] = await ingestions(api, 1)
    first, second = [UUID(await api.request_run(str(ingestion_id))) for _ in range(2)]
    rows = {row.id: row for row in await runs(api, [ingestion_id])}
    differ = ("id", "created_at", "dispatched_at")
    together, alone = ({k: v for k, v in rows[id_]._mapping.items() if k not in differ} for id_ in (first, second))
    assert alone == together
    without_scope = run.c.scope.is_(None), run.c.predicted.is_(None)  # and not JSON's null, which reads the same
    found = await api.rows(select(run.c.id).where(run.c.ingestion_id == ingestion_id, *without_scope))
    assert {row.id for row in found} == rows.keys()
    messages = [decode(row.value).message for row in await api.rows(select(outbox).order_by(outbox.c.id))]
    states = {m.run_id: m for m in messages if isinstance(m, RunState) and m.run_id in rows}
    differing = {"run_id", "created_at", "queued"}
    assert states[second].model_dump(exclude=differing) == states[first].model_dump(exclude=differing)


async def test_each_of_a_mixed_burst_gets_what_it_would_get_alone(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """Refusals, repetitions and those that wait, beside plain ones."""
    plain, paused, halted, deleted, busy, often, twice, reused, other = await ingestions(api, 9)
    [theirs] = await ingestions(neighbour, 1)
    await api.client.post(f"{INGESTIONS}/{paused}/pause")
    async with api.database.begin() as connection:
        await hold_generation(connection, IngestionId(halted), 1)
        await halt(connection, IngestionId(halted), Problem(error_type="behind", message="behind", hint="look"))
    assert (await api.client.delete(f"{INGESTIONS}/{deleted}")).is_success
    active = await api.request_run(str(busy))
    asked = {
        "plain": post(api, plain), "paused": post(api, paused, "p"), "halted": post(api, halted, "h"),
        "deleted": post(api, deleted), "unknown": post(api, uuid4()), "theirs": post(api, theirs, "t"),
        "busy": post(api, busy, "b"), "twice": post(api, twice, "2"), "again": post(api, twice, "2"),
        "first": post(api, reused, "r"), "reused": post(api, other, "r"), "other": post(api, other),
    }  # fmt: skip
    answers = await asyncio.gather(*asked.values(), *(post(api, often) for _ in range(6)))
    came, all_of_one = dict(zip(asked, answers, strict=False)), answers[len(asked) :]
    assert {
        "plain": (202, ""), "paused": (409, "ingestion_paused"), "halted": (409, "ingestion_halted"),
        "deleted": (404, "unknown_ingestion"), "unknown": (404, "unknown_ingestion"),
        "theirs": (404, "unknown_ingestion"), "busy": (202, ""), "twice": (202, ""), "again": (202, ""),
        "first": (202, ""), "reused": (422, "idempotency_key_reused"), "other": (202, ""),
    } == {name: told(answer) for name, answer in came.items()}  # fmt: skip
    assert (True, False) == (came["busy"].json()["queued"], came["plain"].json()["queued"])
    assert came["busy"].json()["run_id"] != active
    assert came["twice"].json() == came["again"].json()
    replayed = {name for name, answer in came.items() if "Idempotency-Replayed" in answer.headers}
    assert replayed in ({"twice"}, {"again"})
    assert [1, 5] == sorted(Counter(answer.json()["run_id"] for answer in all_of_one).values())
    assert [1, 5] == sorted(Counter(answer.json()["queued"] for answer in all_of_one).values())
    counts = Counter(row.ingestion_id for row in await runs(api, [plain, paused, halted, deleted, busy, often, twice]))
    assert {plain: 1, busy: 2, often: 2, twice: 1} == counts
    assert [] == await runs(neighbour, [theirs])
    # A refused request uses up no key.
    assert {202} == {(await post(api, plain, key)).status_code for key in "ph"}


async def test_a_locked_ingestion_holds_up_its_own_request_alone(api: ApiUnderTest) -> None:
    """Others of the same moment are answered while it waits; so are those who come later."""
    locked, *others = await ingestions(api, 6)
    async with api.database.begin() as connection:
        await connection.execute(select(ingestion.c.id).where(ingestion.c.id == locked).with_for_update(key_share=True))
        waiting = asyncio.create_task(post(api, locked, "w"))
        assert {202} == {each.status_code for each in await asyncio.gather(*(post(api, id_) for id_ in others[:4]))}
        assert 202 == (await post(api, others[4])).status_code
        assert not waiting.done()
    assert (202, "") == told(await waiting)


async def test_a_key_that_another_has_taken_holds_up_its_own_request_alone(api: ApiUnderTest) -> None:
    """As one whose request waits in another process. The answer that it gets then is the one for both."""
    [wanted, *others] = await ingestions(api, 4)
    key, may_end, has_begun = once(), asyncio.Event(), asyncio.Event()

    async def slowly() -> Answer:
        has_begun.set()
        await may_end.wait()
        return Answer(202, {"run_id": "1"})

    async def elsewhere() -> Answer:
        async with api.database.begin() as connection:
            return await at_most_once(connection, caller(api), key, slowly)

    first = asyncio.create_task(elsewhere())
    await has_begun.wait()
    again = asyncio.create_task(api.run_requests.request(caller(api), wanted, key))
    answers = await asyncio.gather(*(api.run_requests.request(caller(api), id_, once()) for id_ in others))
    assert {202} == {answer.status for answer in answers}
    assert not again.done()
    may_end.set()
    assert ((await first).body, True) == ((await again).body, (await again).replayed)
    assert [] == await runs(api, [wanted])


async def test_two_processes_with_the_same_requests_in_opposite_order(api: ApiUnderTest, database_url: str) -> None:
    """Neither waits for the other for ever: both answer all, with the same runs."""
    ids = await ingestions(api, AT_ONCE)
    pool = Database(database_url)
    other = RunRequests(pool, Clusters({"local": "sc://localhost:15002"}), Outbox(source="autoloader/api"))
    for _ in range(5):
        keys = {id_: once() for id_ in ids}
        here = [api.run_requests.request(caller(api), id_, keys[id_]) for id_ in ids]
        there = [other.request(caller(api), id_, keys[id_]) for id_ in reversed(ids)]
        answers = await asyncio.gather(*here, *there)
        mine, theirs = answers[: len(ids)], answers[len(ids) :][::-1]
        assert [answer.body for answer in mine] == [answer.body for answer in theirs]
        assert [1] * len(ids) == [m.replayed + t.replayed for m, t in zip(mine, theirs, strict=True)]
        assert len({answer.body["run_id"] for answer in mine}) == len(ids)
        await api.rows(run.update().where(run.c.ingestion_id.in_(ids)).values(ended_at=func.now()))
    await pool.close()


async def test_one_that_cannot_be_stored_fails_alone(api: ApiUnderTest) -> None:
    """Its neighbours are tried again, each by itself."""
    ids = await ingestions(api, 3)
    keys = [once(), Once("not\x00for Postgres", b""), once()]
    asking = (api.run_requests.request(caller(api), id_, key) for id_, key in zip(ids, keys, strict=True))
    first, failed, last = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(failed, Exception)
    assert [202, 202] == [each.status for each in (first, last) if isinstance(each, Answer)]
    assert {ids[0], ids[2]} == {row.ingestion_id for row in await runs(api, ids)}


async def test_a_client_that_hangs_up_takes_nobody_with_it(api: ApiUnderTest) -> None:
    """Whatever becomes of its own request, the others are answered."""
    ids = await ingestions(api, 4)
    asking = [asyncio.create_task(api.run_requests.request(caller(api), id_, once())) for id_ in ids]
    await asyncio.sleep(0)
    asking[0].cancel()
    gone, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert {202} == {each.status for each in others if isinstance(each, Answer)}
    assert set(ids[1:]) <= {row.ingestion_id for row in await runs(api, ids)}
