"""Schedules on a real database: each tick gets one run, whoever looks, however often, and whatever its clock says.

Nobody waits for a tick here: schedules are hourly, and the next tick is put an hour or more into the past, as if
nobody had looked since then.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from sqlalchemy import func, select, update

from libs.common import failpoints
from libs.common.contracts.events import Problem
from libs.common.ids import IngestionId
from libs.common.ledger.ingestions import halt, hold_generation
from libs.common.storage.control import audit, run, schedule
from libs.common.storage.engine import Database
from services.api.triggers.ticker import Ticker
from tests.integration.api.harness import INGESTIONS, ApiUnderTest
from tests.support.crash import Crash

pytestmark = pytest.mark.asyncio

HOUR = timedelta(hours=1)
YEARLY: dict[str, Any] = {"frequency": "custom", "cron_expression": "0 0 1 1 *"}


async def say(api: ApiUnderTest, ingestion_id: str, word: str) -> str:
    """Pauses or resumes; the status that it answers."""
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/{word}")
    assert answer.status_code == 200, answer.text
    status: str = answer.json()["status"]
    return status


async def scheduled(api: ApiUnderTest, **said: Any) -> str:
    """An active ingestion that ticks once an hour, the last time in this minute."""
    hourly = {"frequency": "hourly", "time": f"00:{(await api.database.now()).minute:02}"}
    ingestion_id: str = (await api.create(schedule=hourly | said))["id"]
    assert "active" == await say(api, ingestion_id, "resume")
    return ingestion_id


async def shown(api: ApiUnderTest, ingestion_id: str) -> dict[str, Any]:
    body: dict[str, Any] = (await api.client.get(f"{INGESTIONS}/{ingestion_id}")).json()
    return body


async def schedule_of(api: ApiUnderTest, ingestion_id: str) -> dict[str, Any]:
    body: dict[str, Any] = (await api.client.get(f"{INGESTIONS}/{ingestion_id}/schedule")).json()
    return body


async def next_tick(api: ApiUnderTest, ingestion_id: str) -> datetime:
    [row] = await api.rows(select(schedule.c.tick_at).where(schedule.c.ingestion_id == UUID(ingestion_id)))
    at: datetime = row.tick_at
    return at


async def pass_by(api: ApiUnderTest, *ingestion_ids: str, ticks: int = 1) -> datetime:
    """So many ticks have passed, and nobody looked. The first of them, of the last one."""
    of = schedule.c.ingestion_id.in_([UUID(each) for each in ingestion_ids])
    first = schedule.c.tick_at - HOUR * ticks
    await api.rows(update(schedule).where(of).values(tick_at=first, due_at=first))
    return await next_tick(api, ingestion_ids[-1])


async def look_again(api: ApiUnderTest, ingestion_id: str) -> None:
    """What rests because something was in the way has rested long enough."""
    of = schedule.c.ingestion_id == UUID(ingestion_id)
    await api.rows(update(schedule).where(of, schedule.c.blocked_by.is_not(None)).values(due_at=schedule.c.tick_at))


async def tick(api: ApiUnderTest) -> None:
    """Until nothing is due."""
    while await api.ticker.tick():
        pass


async def runs(api: ApiUnderTest, ingestion_id: str) -> list[Any]:
    """The runs that its ticks have, oldest first."""
    return await api.rows(
        select(run).where(run.c.ingestion_id == UUID(ingestion_id), run.c.trigger == "schedule").order_by(run.c.tick_at)
    )


async def test_a_schedule_is_turned_on_by_resume(api: ApiUnderTest) -> None:
    """A draft shows its ticks and does not tick; one that is active says when the next run is."""
    ingestion_id = (await api.create(schedule=YEARLY))["id"]
    before = await schedule_of(api, ingestion_id)
    assert not before["is_on"]
    assert ["01-01T00:00:00Z"] * 5 == [each["at"][5:] for each in before["ticks"]]
    assert (await shown(api, ingestion_id))["metadata"]["next_run_time"] is None
    assert "active" == await say(api, ingestion_id, "resume")
    assert (await schedule_of(api, ingestion_id))["is_on"]
    body = await shown(api, ingestion_id)
    assert ("active", before["ticks"][0]["at"]) == (body["status"], body["metadata"]["next_run_time"])


async def test_a_draft_without_a_schedule_stays_one(api: ApiUnderTest) -> None:
    """There is nothing to turn on."""
    ingestion_id = (await api.create())["id"]
    assert "draft" == await say(api, ingestion_id, "resume")
    assert [] == (await schedule_of(api, ingestion_id))["ticks"]


async def test_a_tick_asks_for_a_run(api: ApiUnderTest) -> None:
    """Announced, in the audit trail under our name, once; and the next tick is in the future."""
    ingestion_id = await scheduled(api)
    at = await pass_by(api, ingestion_id)
    await tick(api)
    await tick(api)
    [found] = await runs(api, ingestion_id)
    assert (at, "accepted") == (found.tick_at, found.status)
    [message] = await api.requested(ingestion_id)
    assert (found.id, "schedule") == (message.run_id, message.trigger)
    names = select(audit.c.actor).where(audit.c.subject_id == UUID(ingestion_id), audit.c.action == "run.requested")
    assert ["autoloader/schedule"] == [row.actor for row in await api.rows(names)]
    assert at < datetime.fromisoformat((await shown(api, ingestion_id))["metadata"]["next_run_time"])
    assert "schedule" == (await api.run(ingestion_id, str(found.id)))["trigger"]


async def test_a_tick_waits_behind_the_active_run(api: ApiUnderTest) -> None:
    """Who asks by hand meanwhile joins it."""
    ingestion_id = await scheduled(api)
    await api.request_run(ingestion_id)
    await pass_by(api, ingestion_id)
    await tick(api)
    [found] = await runs(api, ingestion_id)
    assert (await api.run(ingestion_id, str(found.id)))["queued"]
    assert str(found.id) == await api.request_run(ingestion_id)


async def test_a_tick_joins_the_run_that_waits(api: ApiUnderTest) -> None:
    """Whatever it would find, that one finds."""
    ingestion_id = await scheduled(api)
    await api.request_run(ingestion_id)
    await api.request_run(ingestion_id)
    at = await pass_by(api, ingestion_id)
    await tick(api)
    assert [] == await runs(api, ingestion_id)
    assert at + HOUR == await next_tick(api, ingestion_id)


async def test_a_tick_does_not_join_a_run_that_reads_something_of_its_own(api: ApiUnderTest) -> None:
    """A retry waits; the tick starts once that one has begun."""
    ingestion_id = await scheduled(api)
    await api.request_run(ingestion_id)
    retry = await api.request_run(ingestion_id)
    await api.rows(update(run).where(run.c.id == UUID(retry)).values(scope={"is_backfill": True}))
    at = await pass_by(api, ingestion_id)
    await tick(api)
    assert "run_queued" == (await schedule_of(api, ingestion_id))["blocked_by"]
    await api.rows(update(run).where(run.c.id == UUID(retry)).values(ended_at=func.now(), status="cancelled"))
    await look_again(api, ingestion_id)
    await tick(api)
    assert [at] == [each.tick_at for each in await runs(api, ingestion_id)]


async def test_two_hundred_schedules_of_one_minute_start_once_each(api: ApiUnderTest, database_url: str) -> None:
    """Three replicas look at the same moment, and one of them again and again."""
    ids = [await scheduled(api) for _ in range(200)]
    await pass_by(api, *ids)
    began = time.monotonic()
    pools = [Database(database_url, pool_size=2) for _ in range(2)]
    tickers = [api.ticker, *(Ticker(pool, api.run_requests) for pool in pools)]

    async def work(ticker: Ticker) -> None:
        while await ticker.tick():
            pass

    await asyncio.gather(*(work(each) for each in [*tickers, api.ticker]))
    took_s = time.monotonic() - began
    await asyncio.gather(*(pool.close() for pool in pools))
    print(f"200 ticks of one minute: {took_s:.1f} s")
    assert took_s < 60
    counted = {row.ingestion_id: row.count for row in await api.rows(
        select(run.c.ingestion_id, func.count().label("count"))
        .where(run.c.ingestion_id.in_([UUID(each) for each in ids]))
        .group_by(run.c.ingestion_id)
    )}  # fmt: skip
    assert {UUID(each): 1 for each in ids} == counted


@pytest.mark.parametrize("skew", [timedelta(hours=1), timedelta(hours=-1)])
async def test_the_clock_of_the_process_does_not_matter(api: ApiUnderTest, skew: timedelta) -> None:
    """An hour ahead: nothing starts early. An hour behind: what is due starts. What follows is by the true time."""
    with time_machine.travel(datetime.now(UTC) + skew, tick=True):
        not_due, due_now = await scheduled(api), await scheduled(api)
        at = await pass_by(api, due_now)
        await tick(api)
    assert [] == await runs(api, not_due)
    assert [at] == [each.tick_at for each in await runs(api, due_now)]
    assert at + HOUR == await next_tick(api, due_now)


@pytest.mark.parametrize(("catch_up", "of_three"), [("none", 1), ("once", 1), ("all", 3)])
async def test_what_a_pause_missed_is_caught_up_with(api: ApiUnderTest, catch_up: str, of_three: int) -> None:
    """Nothing starts before the resume; then what the policy says. The last tick was a moment ago, so that none runs
    it, too; all runs them one after the other."""
    ingestion_id = await scheduled(api, catch_up=catch_up)
    await say(api, ingestion_id, "pause")
    first = await pass_by(api, ingestion_id, ticks=3)
    await tick(api)
    assert [] == await runs(api, ingestion_id)
    assert (await shown(api, ingestion_id))["metadata"]["next_run_time"] is None
    await say(api, ingestion_id, "resume")
    for _ in range(of_three):
        await look_again(api, ingestion_id)
        await tick(api)
        for each in await runs(api, ingestion_id):
            if each.ended_at is None and each.dispatched_at is not None:
                await api.end(ingestion_id, str(each.id))
    found = [each.tick_at for each in await runs(api, ingestion_id)]
    assert [first + HOUR * n for n in range(3)][-of_three:] == found


async def test_a_halt_holds_a_tick_up_and_does_not_lose_it(api: ApiUnderTest) -> None:
    """It says what is in the way, and starts once that is over."""
    ingestion_id = await scheduled(api)
    at = await pass_by(api, ingestion_id)
    async with api.database.begin() as connection:
        await hold_generation(connection, IngestionId(UUID(ingestion_id)), 1)
        await halt(connection, IngestionId(UUID(ingestion_id)), Problem(error_type="x", message="y", hint="z"))
    await tick(api)
    assert [] == await runs(api, ingestion_id)
    told = await schedule_of(api, ingestion_id)
    assert (at, "ingestion_halted") == (datetime.fromisoformat(told["waiting_since"]), told["blocked_by"])
    await say(api, ingestion_id, "resume")
    await look_again(api, ingestion_id)
    await tick(api)
    assert 1 == len(await runs(api, ingestion_id))
    assert (await schedule_of(api, ingestion_id))["blocked_by"] is None


async def test_one_that_cannot_start_holds_up_nobody(api: ApiUnderTest) -> None:
    """It is due for longer than the other one, again and again."""
    broken, sound = await scheduled(api), await scheduled(api)
    body = (await api.client.get(f"{INGESTIONS}/{broken}")).json()
    async with api.database.begin() as connection:
        await hold_generation(connection, IngestionId(UUID(broken)), 1)
        await halt(connection, IngestionId(UUID(broken)), Problem(error_type="x", message="y", hint="z"))
    await pass_by(api, broken, ticks=2)
    await pass_by(api, sound)
    await tick(api)
    assert ([], 1) == (await runs(api, broken), len(await runs(api, sound)))
    assert body["status"] == "active"


async def test_a_change_takes_effect_at_once(api: ApiUnderTest) -> None:
    """A tick that waits goes on waiting if something else is changed. Another schedule begins anew; none at all makes
    it a draft that does not tick."""
    ingestion_id = await scheduled(api)
    path = f"{INGESTIONS}/{ingestion_id}"
    await pass_by(api, ingestion_id)
    renamed = (await api.client.patch(path, json={"name": "Flights, renamed"})).json()
    assert datetime.fromisoformat(renamed["metadata"]["next_run_time"]) < await api.database.now()
    changed = (await api.client.patch(path, json={"schedule": YEARLY | {"time": None}})).json()
    assert changed["metadata"]["next_run_time"][5:] == "01-01T00:00:00Z"
    off = (await api.client.patch(path, json={"schedule": None})).json()
    assert ("draft", None) == (off["status"], off["metadata"]["next_run_time"])
    await tick(api)
    assert [] == await runs(api, ingestion_id)


async def test_a_change_while_paused_holds_after_the_resume(api: ApiUnderTest) -> None:
    """What an older schedule missed is not caught up with."""
    ingestion_id = await scheduled(api)
    await say(api, ingestion_id, "pause")
    await pass_by(api, ingestion_id, ticks=3)
    await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json={"schedule": YEARLY | {"time": None}})
    await say(api, ingestion_id, "resume")
    await tick(api)
    assert [] == await runs(api, ingestion_id)
    assert (await shown(api, ingestion_id))["metadata"]["next_run_time"][5:] == "01-01T00:00:00Z"


async def test_what_is_deleted_does_not_tick(api: ApiUnderTest) -> None:
    """Its row is gone."""
    ingestion_id = await scheduled(api)
    await pass_by(api, ingestion_id)
    assert 204 == (await api.client.delete(f"{INGESTIONS}/{ingestion_id}")).status_code
    await tick(api)
    assert [] == await runs(api, ingestion_id)
    assert [] == await api.rows(select(schedule).where(schedule.c.ingestion_id == UUID(ingestion_id)))


@pytest.mark.parametrize("where", ["api.in_tick", "api.after_tick"])
async def test_a_crash_in_a_tick_changes_nothing_or_all_of_it(api: ApiUnderTest, where: str) -> None:
    """Whoever looks next: the tick has one run."""
    ingestion_id = await scheduled(api)
    await pass_by(api, ingestion_id)
    failpoints.arm(f"{where}:1:raise", error=Crash)
    with pytest.raises(Crash):
        await tick(api)
    failpoints.arm(None)
    assert (0 if where == "api.in_tick" else 1) == len(await runs(api, ingestion_id))
    await tick(api)
    assert 1 == len(await runs(api, ingestion_id))
    assert 1 == len(await api.requested(ingestion_id))


async def test_a_tick_that_has_a_run_gets_no_other(api: ApiUnderTest) -> None:
    """Even if the database's clock was put back, and the tick comes again."""
    ingestion_id = await scheduled(api)
    at = await pass_by(api, ingestion_id)
    await tick(api)
    assert at == await pass_by(api, ingestion_id)
    await tick(api)
    assert [at] == [each.tick_at for each in await runs(api, ingestion_id)]
    assert at + HOUR == await next_tick(api, ingestion_id)


async def test_nobody_sees_the_schedule_of_others(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """404."""
    ingestion_id = await scheduled(api)
    answer = await neighbour.client.get(f"{INGESTIONS}/{ingestion_id}/schedule")
    assert (404, "unknown_ingestion") == (answer.status_code, answer.json()["code"])
