"""Real processes, really killed (F01–F14), and frozen (F19). The run ends by itself; every row is in the table once."""

import asyncio
import signal
from typing import Any

import httpx
import pytest

from tests.faults.cases import RECOVERY_S, Case
from tests.support.eventually import eventually
from tests.support.installation import free_port

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]


def at(point: str, number: str, *, quick: bool = False) -> Any:
    """One crash point as a case of its own."""
    service = {"api": "an API", "scan": "a scanner", "relay": "a scanner", "exec": "an executor"}[
        point.partition(".")[0]
    ]
    words = f"{service} is killed at {point}"
    return pytest.param(point, marks=pytest.mark.fault(number, words, quick=quick), id=point)


@pytest.mark.parametrize(
    "point",
    [
        at("exec.after_claim", "F07"),
        at("exec.during_stage", "F08"),
        at("exec.after_stage", "F09"),
        at("exec.after_audit", "F10"),
        at("exec.before_publish", "F11"),
        at("exec.during_publish", "F12", quick=True),
        at("exec.after_publish", "F13", quick=True),
        at("exec.after_finalise", "F14"),
    ],
)
async def test_an_executor_killed_anywhere_loses_and_doubles_nothing(case: Case, point: str) -> None:
    """kill -9 at the point, then a restart: the next executor takes the batches over when their leases end."""
    victim, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=point), case.autoloader.start("scanner")
    )
    await case.begin()
    struck = await case.killed(victim)
    await case.autoloader.start("executor")
    await case.check(since=struck)


@pytest.mark.parametrize(
    "point",
    [
        at("relay.after_send", "F03", quick=True),
        at("scan.mid_listing", "F04"),
        at("scan.after_page", "F05", quick=True),
        at("scan.before_done", "F06"),
    ],
)
async def test_a_scanner_killed_anywhere_loses_and_doubles_nothing(case: Case, point: str) -> None:
    """kill -9 at the point, then a restart: the listing starts again, and finds in the ledger what was recorded."""
    victim, _ = await asyncio.gather(
        case.autoloader.start("scanner", failpoint=point), case.autoloader.start("executor")
    )
    await case.begin()
    struck = await case.killed(victim)
    await case.autoloader.start("scanner")
    await case.check(since=struck)


@pytest.mark.parametrize("point", [at("api.before_tx", "F01"), at("api.after_tx", "F02", quick=True)])
async def test_an_api_killed_while_it_takes_a_request_takes_it_once(case: Case, point: str) -> None:
    """kill -9 in the middle of a POST; the client repeats it, with its Idempotency-Key, at another API."""
    await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    await case.create()
    port = free_port()
    victim = await case.autoloader.start("api", failpoint=point, AUTOLOADER_API_PORT=str(port))
    key = {"Idempotency-Key": case.name}
    path = f"/api/v1/ingestions/{case.ingestion_id}/run"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            await client.post(path, headers=key)
    struck = await case.killed(victim)
    answer = await case.autoloader.client.post(path, headers=key)
    assert 202 == answer.status_code, answer.text
    case.run_id = answer.json()["run_id"]
    await case.check(since=struck)
    runs = (await case.autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}/runs")).json()
    assert [case.run_id] == [run["id"] for run in runs]


@pytest.mark.fault("F13", "an executor is killed at exec.after_publish, and another one is there")
async def test_another_executor_takes_over_without_a_restart(case: Case) -> None:
    """Killed between publish and finalise, and gone for good: the sweeper of the other one finishes the batch."""
    victim = await case.autoloader.start("executor", failpoint="exec.after_publish")
    await case.autoloader.start("scanner")
    await case.begin()
    # Started only now, so that the victim surely has a batch.
    _, struck = await asyncio.gather(case.autoloader.start("executor"), case.killed(victim))
    await case.check(since=struck)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(
            "exec.before_publish",
            marks=pytest.mark.fault(
                "F19", "an executor is frozen before the ledger's guard, past its lease, and wakes up"
            ),
        ),
        pytest.param(
            "exec.during_publish",
            marks=pytest.mark.fault(
                "F19",
                "an executor is frozen behind the ledger's guard, past its lease, and wakes up",
                quick=True,
                negative=True,
            ),
        ),
    ],
)
async def test_a_frozen_executor_that_wakes_up_is_fenced(case: Case, point: str) -> None:
    """SIGSTOP past its lease; another one finishes the batch; SIGCONT. Before the guard the ledger stops the zombie;
    behind it only the table can."""
    frozen, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=f"{point}:1:stop"), case.autoloader.start("scanner")
    )
    await case.begin()
    struck = await case.frozen(frozen)
    await case.autoloader.start("executor")
    await case.succeeded(since=struck)
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: frozen.says("batch.fenced"), RECOVERY_S, what="the zombie notices")
    await case.check()
