"""Two replicas of the API are asked for the same thing at the same moment (F51): one run comes of it."""

import asyncio
from uuid import uuid4

import pytest

from tests.faults.cases import RECOVERY_S, Case
from tests.faults.mode import Mode, mode
from tests.support.eventually import eventually
from tests.support.landing import FINAL

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

ASKS_AT_ONCE = 4
"""Of each replica, in each round."""


async def runs_of(case: Case) -> list[dict[str, object]]:
    answer = await case.autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}/runs", params={"limit": 100})
    assert answer.is_success, answer.text
    found: list[dict[str, object]] = answer.json()
    return found


@pytest.mark.fault("F51", "two API replicas get one POST …/run with one Idempotency-Key, again and again", quick=True)
async def test_a_request_that_reaches_two_replicas_at_once_is_one_run(case: Case) -> None:
    """All answers of a round name the same run, all but one as a repetition; and there are no other runs."""
    rounds = 20 if mode() is Mode.ALL else 8
    asked: set[str] = set()
    async with case.autoloader.another_api() as other:
        await asyncio.gather(case.autoloader.start("scanner"), case.autoloader.start("executor"))
        await case.create()
        path = f"/api/v1/ingestions/{case.ingestion_id}/run"
        for _ in range(rounds):
            key = {"Idempotency-Key": str(uuid4())}
            clients = [case.autoloader.client, other] * ASKS_AT_ONCE
            answers = await asyncio.gather(*(client.post(path, headers=key) for client in clients))
            case.faults.inject(len(clients) - 1)
            assert {202} == {answer.status_code for answer in answers}, [answer.text for answer in answers]
            bodies = [answer.json() for answer in answers]
            assert 1 == len({tuple(sorted(body.items())) for body in bodies}), bodies
            assert 1 == sum("Idempotency-Replayed" not in answer.headers for answer in answers)
            asked.add(bodies[0]["run_id"])

        async def all_are_over() -> bool:
            return all(run["status"] in FINAL for run in await runs_of(case))

        await eventually(all_are_over, RECOVERY_S, what="the last run ends")
    runs = await runs_of(case)
    assert asked == {run["id"] for run in runs}
    assert {"success"} == {run["status"] for run in runs}
    # One run loads the files, once; the others find nothing to do.
    assert [len(case.ids)] == [n for run in runs if (n := run["metrics"]["files_processed"])]  # type: ignore[index]
    case.faults.judged(await case.verdict())


@pytest.mark.fault("F51", "two API replicas are asked for runs of one ingestion, each time under another key")
async def test_different_requests_at_once_are_one_active_and_one_waiting_run(case: Case) -> None:
    """Different keys are different wishes: one run is active and one waits, whichever replica was asked."""
    async with case.autoloader.another_api() as other:
        await case.create()
        path = f"/api/v1/ingestions/{case.ingestion_id}/run"
        clients = [case.autoloader.client, other] * ASKS_AT_ONCE
        answers = await asyncio.gather(
            *(client.post(path, headers={"Idempotency-Key": str(uuid4())}) for client in clients)
        )
        case.faults.inject(len(clients) - 1)
        assert {202} == {answer.status_code for answer in answers}, [answer.text for answer in answers]
        bodies = [answer.json() for answer in answers]
        active, waiting = ({body["run_id"] for body in bodies if body["queued"] is queued} for queued in (False, True))
        assert (1, 1) == (len(active), len(waiting)), bodies
        assert active | waiting == {run["id"] for run in await runs_of(case)}
        # Nobody has begun so far: now both are done, one after the other.
        await asyncio.gather(case.autoloader.start("scanner"), case.autoloader.start("executor"))
        for case.run_id in (*active, *waiting):
            await case.succeeded()
    case.faults.judged(await case.verdict())
