"""Schedules that several replicas of the API look at: at one tick (F51), with clocks an hour apart (F49). No scanner
and no executor is needed: it is about which runs are asked for."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from libs.common.storage.engine import Database
from tests.faults.tally import Faults
from tests.support.eventually import eventually
from tests.support.installation import Installation, ServiceProcess, free_port, installation

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

SCHEDULES = 20
SKEW_S = 3_700
TICK_S = 60.0 + 30.0
"""The next full minute, and some patience."""


@pytest_asyncio.fixture(loop_scope="session")
async def own() -> AsyncIterator[Installation]:
    """An installation for one case: its replicas have clocks and failpoints of their own."""
    async with installation() as started:
        yield started


async def now(autoloader: Installation) -> datetime:
    """By the clock of Postgres."""
    database = Database(autoloader.environment["DATABASE_URL"], pool_size=1)
    try:
        return await database.now()
    finally:
        await database.close()


async def schedules(autoloader: Installation) -> tuple[list[str], datetime]:
    """Active ingestions that tick at one minute of the hour, and when that is: at least 15 s from now."""
    at = (await now(autoloader) + timedelta(seconds=75)).replace(second=0, microsecond=0)
    ids = []
    for _ in range(SCHEDULES):
        created = await autoloader.post(
            "",
            name=uuid4().hex,
            cluster_id="local",
            source={"path": "s3://autoloader-faults/schedules/"},
            destination={"catalog": "test_catalog", "database": "faults", "table": f"t{uuid4().hex}"},
            schedule={"frequency": "hourly", "time": f"00:{at.minute:02}"},
        )
        await autoloader.post(f"/{created['id']}/resume")
        ids.append(created["id"])
    return ids, at


async def runs_of(autoloader: Installation, ids: list[str]) -> list[list[dict[str, Any]]]:
    async def of(ingestion_id: str) -> list[dict[str, Any]]:
        answer = await autoloader.client.get(f"/api/v1/ingestions/{ingestion_id}/runs")
        assert answer.is_success, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    return [await of(each) for each in ids]


async def each_has_one(autoloader: Installation, ids: list[str], at: datetime) -> None:
    """One run for the tick, soon after it, and never another."""

    async def all_have_some() -> bool:
        return all(await runs_of(autoloader, ids))

    await eventually(all_have_some, TICK_S, what="each schedule has its run")
    found = await runs_of(autoloader, ids)
    assert [1] * len(ids) == [len(runs) for runs in found], found
    asked = [datetime.fromisoformat(runs[0]["created_at"]) for runs in found]
    late_s = [(each - at).total_seconds() for each in asked]
    print(f"{len(ids)} ticks of one minute: {min(late_s):.2f} to {max(late_s):.2f} s late")
    assert min(late_s) >= 0
    assert max(late_s) < 60
    assert {"schedule"} == {runs[0]["trigger"] for runs in found}


async def start_another(autoloader: Installation, **how: Any) -> ServiceProcess:
    return await autoloader.start("api", AUTOLOADER_API_PORT=str(free_port()), **how)


@pytest.mark.fault("F51", "three API replicas at one tick of twenty schedules; one is killed in a tick, one after it")
async def test_a_replica_that_dies_in_a_tick_leaves_it_to_the_others(own: Installation, faults: Faults) -> None:
    """Each schedule has its run, within the minute, once."""
    victims = await asyncio.gather(
        start_another(own, failpoint="api.in_tick"), start_another(own, failpoint="api.after_tick")
    )
    ids, at = await schedules(own)
    assert [-signal.SIGKILL] * 2 == [await victim.ended(within_s=TICK_S) for victim in victims]
    faults.inject(2)
    await each_has_one(own, ids, at)


@pytest.mark.fault("F49", "three API replicas look at schedules; one clock is right, two are an hour ahead and behind")
async def test_nobody_ticks_by_a_clock_that_is_wrong(own: Installation, faults: Faults) -> None:
    """Each tick starts one run, at its minute by Postgres' clock: not an hour early, nor an hour late."""
    for skew_s in (SKEW_S, -SKEW_S):
        await start_another(own, module="tests.faults.skewed.api", SKEW_S=str(skew_s))
    faults.inject(2)
    ids, at = await schedules(own)
    await each_has_one(own, ids, at)
