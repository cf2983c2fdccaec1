"""Refreshes (F15–F18, F34, F35), with real processes, really killed: the new table holds the rows of the new
generation, each once, and nothing of an older one."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.faults.cases import RECOVERY_S, Case
from tests.support.eventually import eventually
from tests.support.landing import FINAL

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

CONFIRMED = {"confirm": True, "auto_run": True}


async def refresh(case: Case, mode: str = "full") -> None:
    await case.autoloader.post(f"/{case.ingestion_id}/refresh/{mode}", **CONFIRMED)


async def runs(case: Case) -> list[dict[str, Any]]:
    """Newest first."""
    answer = await case.autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}/runs")
    found: list[dict[str, Any]] = answer.json()
    return found


async def refreshed(case: Case, generation: int = 2) -> None:
    """The generation is active."""

    async def is_active() -> bool:
        answer = await case.autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}")
        return bool(answer.json()["generation"] == generation)

    await _in_time(case, is_active, f"generation {generation} of {case.name} is active")


async def reloaded(case: Case, generation: int = 2) -> dict[str, Any]:
    """The generation is active, and no run is left unfinished. The newest run, which the refresh asked for."""

    async def all_ended() -> bool:
        return all(run["status"] in FINAL for run in await runs(case))

    await refreshed(case, generation)
    await _in_time(case, all_ended, f"generation {generation} of {case.name} is loaded")
    newest = (await runs(case))[0]
    assert ("refresh", "success") == (newest["trigger"], newest["status"]), case.story_of(newest)
    return newest


async def _in_time(case: Case, condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        await eventually(condition, RECOVERY_S, what=what)
    except AssertionError as e:
        raise AssertionError("\n".join([str(e), *case.autoloader.complaints()])) from e


async def judge(case: Case) -> None:
    """The oracle has nothing to say."""
    case.faults.judged(await case.verdict())


def counts(run: dict[str, Any]) -> tuple[int, int]:
    """Files that it loaded, and files that it skipped."""
    return run["metrics"]["files_processed"], run["metrics"]["files_skipped"]


def phase(point: str, number: str, *, quick: bool = False) -> Any:
    words = f"an executor is killed at {point}"
    return pytest.param(point, marks=pytest.mark.fault(number, words, quick=quick), id=point)


@pytest.mark.parametrize(
    "point",
    [
        phase("refresh.after_generation", "F15"),
        phase("refresh.after_drop", "F16", quick=True),
        phase("refresh.after_create", "F17"),
        phase("refresh.before_active", "F18"),
    ],
)
async def test_a_refresh_killed_in_any_phase_ends_whole(case: Case, point: str) -> None:
    """kill -9 at the point; the next executor goes on where it was, and the run loads every file (F34 too)."""
    victim, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=point), case.autoloader.start("scanner")
    )
    await case.begin(files=3)
    await case.succeeded()
    await refresh(case)
    struck = await case.killed(victim)
    await case.autoloader.start("executor")
    await refreshed(case)
    case.faults.recovered(struck)
    assert (3, 0) == counts(await reloaded(case))
    await judge(case)


@pytest.mark.parametrize("point", [phase("refresh.after_generation", "F15"), phase("refresh.before_active", "F18")])
async def test_a_history_that_is_cleared_under_kills_is_cleared_whole(case: Case, point: str) -> None:
    """The table keeps its rows, and the next run reads every file again: as many rows are there twice, and no other."""
    victim, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=point), case.autoloader.start("scanner")
    )
    await case.begin(files=3)
    await case.succeeded()
    path = f"/api/v1/ingestions/{case.ingestion_id}/processed-files"
    assert 202 == (await case.autoloader.client.delete(path, params={"confirm": "true"})).status_code
    struck = await case.killed(victim)
    await case.autoloader.start("executor")
    await refreshed(case)
    case.faults.recovered(struck)
    await case.ask()
    assert (3, 0) == counts(await case.succeeded())
    verdict = await case.verdict()
    assert (0, len(case.expected), ()) == (verdict.lost, verdict.duplicated, verdict.problems)


def undo_phase(point: str, *, quick: bool = False) -> Any:
    words = f"an executor is killed at {point}, in an undo"
    return pytest.param(point, marks=pytest.mark.fault("F16", words, quick=quick), id=point)


@pytest.mark.parametrize(
    "point",
    [
        undo_phase("refresh.after_generation"),
        undo_phase("refresh.after_drop"),
        undo_phase("undo.after_way_cleared"),
        undo_phase("undo.after_name_held", quick=True),
        undo_phase("refresh.after_create"),
        undo_phase("refresh.before_active"),
    ],
)
async def test_an_undo_killed_in_any_phase_ends_whole(case: Case, point: str) -> None:
    """kill -9 at the point; the next executor brings the old table back, and the next run loads what it lacks."""
    first, _ = await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    await case.begin(files=3)
    await case.succeeded()
    await case.land(3)
    await refresh(case)
    assert (4, 0) == counts(await reloaded(case))
    await first.stop()
    victim = await case.autoloader.start("executor", failpoint=point)
    [done] = (await case.autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}/refresh")).json()
    await case.autoloader.post(f"/{case.ingestion_id}/refresh/{done['refresh_id']}/undo")
    struck = await case.killed(victim)
    await case.autoloader.start("executor")
    await refreshed(case, generation=3)
    case.faults.recovered(struck)
    await case.ask()
    assert (1, 3) == counts(await case.succeeded())
    await judge(case)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(
            point,
            marks=pytest.mark.fault("F34", f"a refresh begins while an executor is frozen at {point}", quick=quick),
            id=point,
        )
        for point, quick in [
            ("exec.after_claim", False),
            ("exec.during_stage", False),
            ("exec.after_stage", False),
            ("exec.after_audit", False),
            ("exec.before_publish", False),
            ("exec.during_publish", True),
            ("exec.after_publish", False),
        ]
    ],
)
async def test_a_refresh_at_any_step_of_a_batch_lets_nothing_of_it_through(case: Case, point: str) -> None:
    """The executor froze at the point; another one refreshes; then the frozen one wakes up, and does its worst."""
    frozen, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=f"{point}:1:stop"), case.autoloader.start("scanner")
    )
    await case.begin(files=3)
    await case.frozen(frozen)
    await refresh(case)
    await case.autoloader.start("executor")
    await reloaded(case)
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: frozen.says("batch.fenced"), RECOVERY_S, what="the zombie notices")
    await case.land(3)
    await case.ask()
    assert (1, 3) == counts(await case.succeeded())
    await judge(case)


@pytest.mark.fault("F34", "an ingestion is deleted while an executor is frozen at exec.during_publish")
async def test_nothing_of_a_deleted_ingestion_becomes_visible(case: Case) -> None:
    """The executor froze right before its publish; another one ended its batch, and the ingestion is gone. The frozen
    one wakes up, and the table, which stays, refuses it."""
    frozen, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint="exec.during_publish:1:stop"), case.autoloader.start("scanner")
    )
    await case.begin(files=3)
    await case.frozen(frozen)
    path = f"/api/v1/ingestions/{case.ingestion_id}"
    assert 202 == (await case.autoloader.client.delete(path)).status_code
    await case.autoloader.start("executor")

    async def is_gone() -> bool:
        return (await case.autoloader.client.get(path)).status_code == 404

    await _in_time(case, is_gone, f"{case.name} is deleted")
    before = await case.sql(f"SELECT count(*) FROM {case.table}")
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: frozen.says("batch.fenced"), RECOVERY_S, what="the zombie notices")
    await case.sql(f"REFRESH TABLE {case.table}")
    assert before == await case.sql(f"SELECT count(*) FROM {case.table}")
    verdict = await case.verdict()
    assert (0, ()) == (verdict.duplicated, verdict.problems)


@pytest.mark.fault("F34", "two refreshes are asked for at once")
async def test_two_refreshes_at_once(case: Case) -> None:
    """One is taken, the other is told to wait (409); a run is too. After it, the next refresh is welcome."""
    await case.create(files=1)
    paths = [f"/api/v1/ingestions/{case.ingestion_id}/refresh/{mode}" for mode in ("full", "new-only")]
    answers = await asyncio.gather(*(case.autoloader.client.post(path, json=CONFIRMED) for path in paths))
    case.faults.inject()
    assert [202, 409] == sorted(answer.status_code for answer in answers)
    refused = await case.autoloader.client.post(f"/api/v1/ingestions/{case.ingestion_id}/run")
    assert (409, "refresh_active") == (refused.status_code, refused.json()["code"])
    await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    await reloaded(case)
    await judge(case)
    await refresh(case)
    await reloaded(case, generation=3)
    await judge(case)


@pytest.mark.fault("F35", "old files are listed again after a new-only refresh")
async def test_new_only_does_not_load_old_files_again(case: Case) -> None:
    """In the run of the refresh and in the next; the new ones are loaded, once."""
    await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    await case.begin(files=3)
    await case.succeeded()
    case.left_out.update(case.ids)
    await case.land(3, 4)
    await refresh(case, "new-only")
    case.faults.inject()
    assert (2, 3) == counts(await reloaded(case))
    await judge(case)
    await case.ask()
    case.faults.inject()
    assert (0, 5) == counts(await case.succeeded())
    await judge(case)
