"""Notifications lie, get lost, come late, twice and in any order (F42). What the store says counts."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.cases import BUCKET, RECOVERY_S
from tests.faults.landing import Landing, landing
from tests.faults.tally import Faults
from tests.support.bucket_news import BucketNews, bucket_news
from tests.support.eventually import eventually
from tests.support.installation import Installation

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]
NOTIFICATIONS = 10_000
MANY_WITHIN_S = 900.0
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture(loop_scope="session")
async def place(autoloader: Installation, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    async with landing(autoloader, spark, faults) as place:
        yield place
    await autoloader.stop_all_but_the_api()


@pytest_asyncio.fixture(loop_scope="session")
async def news(autoloader: Installation) -> AsyncIterator[BucketNews]:
    async with bucket_news(autoloader.environment["AUTOLOADER_TOPIC_PREFIX"], BUCKET) as news:
        yield news


async def followed(place: Landing, **schedule: Any) -> None:
    """The ingestion follows notifications, and the listing that this begins with is over."""
    await asyncio.gather(place.autoloader.start("scanner"), place.autoloader.start("executor"))
    await follow(place, **schedule)


async def follow(place: Landing, **schedule: Any) -> None:
    await place.create()
    path = f"/api/v1/ingestions/{place.ingestion_id}"
    wanted = {"trigger": "event", "events": {"max_delay_s": 0.5}, **schedule}
    answer = await place.autoloader.client.patch(path, json={"schedule": wanted})
    assert answer.is_success, answer.text
    await place.autoloader.post(f"/{place.ingestion_id}/resume")
    await eventually(lambda: has_listed(place), RECOVERY_S, what="the first listing is over")


async def has_listed(place: Landing) -> bool:
    return any(run["trigger"] == "backfill" and run["ended_at"] for run in await runs(place))


async def runs(place: Landing) -> list[dict[str, Any]]:
    answer = await place.autoloader.client.get(f"/api/v1/ingestions/{place.ingestion_id}/runs", params={"limit": 100})
    assert answer.is_success, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def loaded(place: Landing, within_s: float = RECOVERY_S) -> None:
    """Every file that landed has been loaded, and nothing goes on: the oracle may look."""

    async def are_all_in() -> bool:
        return bool(sum(run["metrics"]["files_processed"] for run in await runs(place)) >= len(place.keys))

    await eventually(are_all_in, within_s, what=f"{len(place.keys)} files are loaded")
    await place.autoloader.post(f"/{place.ingestion_id}/pause")
    await eventually(lambda: is_quiet(place), RECOVERY_S, what="no run goes on")


async def is_quiet(place: Landing) -> bool:
    return all(run["ended_at"] for run in await runs(place))


async def land(place: Landing, *names: int) -> list[str]:
    """Files of ten rows, named by numbers. Their keys."""
    for n in names:
        await place.put_rows(f"{n}.json", n * 10, 10)
    return [f"{place.name}/{n}.json" for n in names]


@pytest.mark.fault("F42", "notifications twice, reordered, an hour late; a lost one is found by a listing", quick=True)
async def test_doubled_reordered_late_and_lost(place: Landing, news: BucketNews, faults: Faults) -> None:
    """Nobody ever tells of one of the files."""
    await followed(place, backfill_interval=5)
    first, second, lost, late = await land(place, 1, 2, 3, 4)
    await news.tell([second, first, second, first])
    await news.tell([late], event_time=(datetime.now(UTC) - HOUR).isoformat())
    faults.inject()
    await loaded(place)
    await place.autoloader.post(f"/{place.ingestion_id}/resume")
    await news.tell([first, lost, late], event_time=(datetime.now(UTC) - HOUR).isoformat())
    await eventually(lambda: has_seen_again(place), RECOVERY_S, what="a run looked at what was told late")
    await loaded(place)
    await place.check()


async def has_seen_again(place: Landing) -> bool:
    return any(run["trigger"] == "event" and run["metrics"]["files_skipped"] for run in await runs(place))


@pytest.mark.fault("F42", "notifications of another bucket, of no object, of another size, and no notifications at all")
async def test_forged_and_foreign_ones_load_nothing(place: Landing, news: BucketNews, faults: Faults) -> None:
    """The file that is there is loaded as it is there, whatever is said of it."""
    await followed(place)
    [there] = await land(place, 1)
    await news.tell([there], bucket="somebody-elses")
    await news.tell([f"{place.name}/forged.json", f"{place.name}/../{place.name}/1.json", "elsewhere/1.json"])
    for raw in (b"", b"{", b"[]", b'{"Records": 3}', b"\xff\xfe", b'{"Records": [{"eventName": 7}]}'):
        await news.tell_nonsense(raw)
    await news.tell([there], size=1, eTag="0" * 32)
    faults.inject()
    await loaded(place)
    await place.check()
    [event] = [run for run in await runs(place) if run["trigger"] == "event" and run["metrics"]["files_processed"]]
    assert 10 == event["metrics"]["records_ingested"]
    scanner = next(service for service in place.autoloader.running if service.name == "scanner")
    assert scanner.process.returncode is None


@pytest.mark.fault("F42", "a scanner is killed between writing notifications down and acknowledging them", quick=True)
async def test_a_scanner_that_dies_before_it_acknowledges(place: Landing, news: BucketNews, faults: Faults) -> None:
    """They come again, to its successor."""
    _, scanner = await asyncio.gather(place.autoloader.start("executor"), place.autoloader.start("scanner"))
    await follow(place)
    await scanner.stop()
    victim = await place.autoloader.start("scanner", failpoint="intake.after_tx")
    await news.tell(await land(place, *range(20)))
    assert -9 == await victim.ended()
    faults.inject()
    await place.autoloader.start("scanner")
    await loaded(place)
    await place.check()


@pytest.mark.fault("F42", f"{NOTIFICATIONS:,} notifications: each file is told of twice, in any order")
async def test_ten_thousand_doubled_and_shuffled(place: Landing, news: BucketNews, faults: Faults) -> None:
    """Each file is loaded once."""
    files = NOTIFICATIONS // 2
    await followed(place, events={"max_delay_s": 5})
    await place.put_many({f"{n}.json": b'{"id": %d}\n' % n for n in range(files)})
    place.ids.update(range(files))
    told = sorted(place.keys) * 2
    random.Random(42).shuffle(told)
    await news.tell(told)
    faults.inject()
    await loaded(place, MANY_WITHIN_S)
    await place.check()
