"""Runs that are cancelled while an executor stands frozen in the middle of a batch (F19): whatever it does when it
wakes up, each row is there once."""

import asyncio
import signal
from typing import Any

import pytest

from libs.common.storage.engine import TRANSACTION_S
from tests.faults.cases import RECOVERY_S, Case
from tests.support.eventually import eventually

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

FROZEN_S = TRANSACTION_S + 10


async def cancelled(case: Case) -> None:
    """Asks for it, and again, as any client would: who is frozen in a heartbeat holds the batch's row until Postgres
    ends its transaction."""
    path = f"/api/v1/ingestions/{case.ingestion_id}/runs/{case.run_id}/cancel"

    async def is_accepted() -> bool:
        answer = await case.autoloader.client.post(path, timeout=FROZEN_S)
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202

    await eventually(is_accepted, 2 * FROZEN_S, what="the run is cancelled")


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(
            point,
            marks=pytest.mark.fault("F19", f"a run is cancelled while an executor is frozen at {point}", quick=quick),
            id=point,
        )
        for point, quick in [
            ("exec.after_claim", False),
            ("exec.after_stage", False),
            ("exec.before_publish", False),
            ("exec.during_publish", True),
            ("exec.after_publish", False),
        ]
    ],
)
async def test_a_run_cancelled_at_any_step_of_a_batch_lets_nothing_through_later(case: Case, point: str) -> None:
    """The run ends without the frozen one; the next run loads what that one did not; then the frozen one wakes up."""
    frozen, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=f"{point}:1:stop"), case.autoloader.start("scanner")
    )
    await case.begin()
    await case.frozen(frozen)
    await cancelled(case)
    case.faults.inject()
    await case.autoloader.start("executor")
    run: dict[str, Any] = await case.ended()
    assert "cancelled" == run["status"], case.story_of(run)
    await case.ask()
    await case.succeeded()
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: frozen.says("batch.fenced"), RECOVERY_S, what="the zombie notices")
    case.faults.judged(await case.verdict())
