"""Swaps, with real processes, really killed and frozen: readers see the old rows or the new ones, each once, and a swap
that comes late takes nothing away."""

import asyncio
import signal
from typing import Any

import pytest

from tests.faults.cases import RECOVERY_S, Case
from tests.faults.test_refresh import counts, judge, reloaded
from tests.support.eventually import eventually

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]


async def swap(case: Case) -> str:
    """Asks for a refresh that builds its table aside; its id."""
    path = f"/{case.ingestion_id}/refresh/full"
    return str((await case.autoloader.post(path, confirm=True, strategy="swap"))["refresh_id"])


async def replaced(case: Case, refresh_id: str) -> None:
    """The rows are in place, by the API's word."""

    async def is_done() -> bool:
        path = f"/api/v1/ingestions/{case.ingestion_id}/refresh/{refresh_id}"
        told: dict[str, Any] = (await case.autoloader.client.get(path)).json()
        return any((o["operation"], o["status"]) == ("table_replaced", "success") for o in told["operations"])

    await eventually(is_done, RECOVERY_S, what=f"the rows of {case.name} are replaced")


async def seen(case: Case) -> int:
    await case.sql(f"REFRESH TABLE {case.table}")
    return int((await case.sql(f"SELECT count(*) AS n FROM {case.table}"))[0]["n"])


def phase(point: str, number: str, *, quick: bool = False) -> Any:
    words = f"an executor is killed at {point}"
    return pytest.param(point, marks=pytest.mark.fault(number, words, quick=quick), id=point)


@pytest.mark.parametrize(
    "point",
    [
        phase("swap.after_build", "F17"),
        phase("refresh.after_generation:2:kill", "F15"),
        phase("swap.before_publish", "F16"),
        phase("swap.after_publish", "F16", quick=True),
        phase("refresh.after_create", "F17"),
        phase("swap.after_drop", "F18"),
        phase("refresh.before_active:2:kill", "F18"),
    ],
)
async def test_a_swap_killed_in_any_phase_ends_whole(case: Case, point: str) -> None:
    """kill -9 at the point; readers see old rows or new ones, and the next executor goes on where it was."""
    victim, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=point), case.autoloader.start("scanner")
    )
    await case.begin(files=3)
    await case.succeeded()
    before = len(case.expected)
    await case.land(3)
    refresh_id = await swap(case)
    struck = await case.killed(victim)
    assert await seen(case) in (before, len(case.expected))
    await case.autoloader.start("executor")
    await replaced(case, refresh_id)
    case.faults.recovered(struck)
    assert (4, 0) == counts(await reloaded(case, generation=3))
    await judge(case)
    await case.land(4)
    await case.ask()
    assert (1, 4) == counts(await case.succeeded())
    await judge(case)


@pytest.mark.fault("F34", "an executor is frozen right before the publish of a swap, and wakes up after later runs")
async def test_a_swap_that_wakes_up_late_takes_no_rows_away(case: Case) -> None:
    """Another executor did it, and runs have loaded more since. The frozen one sends its publish all the same."""
    frozen, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint="swap.before_publish:1:stop"), case.autoloader.start("scanner")
    )
    await case.begin(files=3)
    await case.succeeded()
    refresh_id = await swap(case)
    await case.frozen(frozen)
    await case.autoloader.start("executor")
    await replaced(case, refresh_id)
    await case.land(3)
    await case.ask()
    assert (1, 3) == counts(await case.succeeded())
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: frozen.says("refresh.fenced"), RECOVERY_S, what="the zombie notices")
    await judge(case)


@pytest.mark.parametrize("point", [phase("swap.before_publish", "F16"), phase("swap.after_publish", "F16")])
async def test_the_undo_of_a_swap_killed_in_any_phase_ends_whole(case: Case, point: str) -> None:
    """The old rows are back, and the next run loads what they lack."""
    first, _ = await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    await case.begin(files=3)
    await case.succeeded()
    before = len(case.expected)
    await case.land(3)
    refresh_id = await swap(case)
    await replaced(case, refresh_id)
    await first.stop()
    victim = await case.autoloader.start("executor", failpoint=point)
    await case.autoloader.post(f"/{case.ingestion_id}/refresh/{refresh_id}/undo")
    struck = await case.killed(victim)
    await case.autoloader.start("executor")

    async def is_back() -> bool:
        path = f"/api/v1/ingestions/{case.ingestion_id}"
        return bool((await case.autoloader.client.get(path)).json()["generation"] == 4)

    await eventually(is_back, RECOVERY_S, what=f"the old rows of {case.name} are back")
    case.faults.recovered(struck)
    assert before == await seen(case)
    await case.ask()
    assert (1, 3) == counts(await case.succeeded())
    await judge(case)
