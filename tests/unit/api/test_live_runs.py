"""Runs told as they change: who hears what, how often Postgres is asked, and how it all ends."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import pytest

from client.sse import Event, events_of
from libs.common.errors import Temporary, Unavailable
from services.api.runs.event_stream import EventStream
from services.api.runs.live import Listener, LiveRuns, Mark, Sight
from services.api.runs.schemas import EXAMPLE_RUN, RunOut
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio

RUN, OTHER = UUID(int=1), UUID(int=2)


def sight(seq: int, *, of: UUID = RUN, is_over: bool = False) -> Sight:
    end = EXAMPLE_RUN["ended_at"] if is_over else None
    run = RunOut.model_validate({**EXAMPLE_RUN, "id": of, "ended_at": end})
    return Sight(run=run, seq=seq, mark=(f"{seq}/{is_over}", None))


class Runs:
    """What can be seen, and how often somebody looked."""

    def __init__(self) -> None:
        self.now: dict[UUID, Sight] = {}
        self.asked: list[list[UUID]] = []
        self.trouble: Exception | None = None

    def show(self, *sights: Sight) -> None:
        self.now |= {each.run.id: each for each in sights}

    async def look(self, known: Mapping[UUID, Mark]) -> Mapping[UUID, Sight]:
        self.asked.append(list(known))
        if self.trouble is not None:
            raise self.trouble
        return {run_id: s for run_id, s in self.now.items() if run_id in known and s.mark != known[run_id]}


@asynccontextmanager
async def live(
    runs: Runs, listeners_max: int = 1000, keep_alive_s: float = 60, interval_s: float = 0.001
) -> AsyncIterator[LiveRuns]:
    live = LiveRuns(
        runs.look,
        listeners_max=listeners_max,
        interval=timedelta(seconds=interval_s),
        rest=timedelta(0),
        keep_alive=timedelta(seconds=keep_alive_s),
    )
    looking = asyncio.create_task(live.run())
    yield live
    live.request_stop()
    await asyncio.wait_for(looking, 5)


class Heard:
    """A client that listens in the background."""

    def __init__(self, listener: Listener) -> None:
        self.pieces: list[str] = []
        self.listening = asyncio.create_task(self._listen(listener))

    async def _listen(self, listener: Listener) -> None:
        async for piece in listener:
            self.pieces.append(piece.decode())
        listener.close()

    @property
    def events(self) -> list[Event]:
        return list(events_of("".join(self.pieces).split("\n")))

    @property
    def story(self) -> list[tuple[str, str]]:
        return [(event.name, event.id) for event in self.events]

    async def whole(self) -> list[tuple[str, str]]:
        await asyncio.wait_for(self.listening, 5)
        return self.story


async def test_a_listener_hears_what_is_and_what_changes_until_the_end() -> None:
    """Each event is the whole run; the last one says that it is the last."""
    runs = Runs()
    async with live(runs) as told:
        heard = Heard(told.listen(sight(1)))
        await eventually(lambda: heard.story == [("progress", "1")])
        runs.show(sight(2))
        await eventually(lambda: len(heard.story) == 2)
        runs.show(sight(3, is_over=True))
        assert [("progress", "1"), ("progress", "2"), ("end", "3")] == await heard.whole()
    last = RunOut.model_validate_json(heard.events[-1].data)
    assert sight(3, is_over=True).run == last
    assert heard.pieces[0] == "retry: 1000\n\n"


async def test_who_comes_back_hears_only_what_is_newer() -> None:
    """The end is always told."""
    runs = Runs()
    async with live(runs) as told:
        knows_all = Heard(told.listen(sight(4), after=4))
        missed_one = Heard(told.listen(sight(4), after=3))
        await eventually(lambda: missed_one.story == [("progress", "4")])
        runs.show(sight(5, is_over=True))
        assert [("end", "5")] == await knows_all.whole()
        assert [("progress", "4"), ("end", "5")] == await missed_one.whole()
        assert [("end", "5")] == await Heard(told.listen(sight(5, is_over=True), after=5)).whole()


async def test_a_hundred_listeners_cost_what_one_costs() -> None:
    """Each look asks once for each run that somebody follows; without listeners nobody looks."""
    runs = Runs()
    async with live(runs) as told:
        heard = [Heard(told.listen(sight(1))) for _ in range(100)]
        await eventually(lambda: runs.asked)
        runs.show(sight(2, is_over=True))
        for each in heard:
            assert ("end", "2") == (await each.whole())[-1]
        runs.show(sight(2, of=OTHER, is_over=True))
        await Heard(told.listen(sight(1, of=OTHER))).whole()
    assert [[RUN], [OTHER]] == [asked for asked, _ in groupby(runs.asked)]


async def test_who_is_told_of_a_change_does_not_wait_for_the_next_look() -> None:
    """Nobody would look for an hour. What is said of runs that nobody follows makes nobody look."""
    runs = Runs()
    async with live(runs, interval_s=3600) as told:
        heard = Heard(told.listen(sight(1)))
        for seq in (2, 3, 4):
            runs.show(sight(seq, is_over=seq == 4))
            told.hint({OTHER, RUN})
            await eventually(lambda: heard.story[-1:] == [("end" if seq == 4 else "progress", str(seq))])  # noqa: B023
        await heard.whole()
        runs.asked.clear()
        listener = told.listen(sight(1, of=OTHER))
        told.hint({RUN})
        for _ in range(20):  # turns of the loop, in any of which it would look
            await asyncio.sleep(0)
        listener.close()
    assert not runs.asked


async def test_a_slow_listener_is_told_the_newest_state_only() -> None:
    """Nothing piles up for it."""
    runs = Runs()
    async with live(runs) as told:
        listener = told.listen(sight(1))
        assert b"retry" in await anext(listener)
        await anext(listener)
        for seq in range(2, 6):
            runs.asked.clear()
            runs.show(sight(seq))
            await eventually(lambda: len(runs.asked) > 1, what="the new state was seen")
        assert b"id: 5\n" in await anext(listener)
        listener.close()


async def test_while_nothing_happens_the_connection_is_kept_alive() -> None:
    """By comments, which are no events."""
    async with live(Runs(), keep_alive_s=0.001) as told:
        heard = Heard(told.listen(sight(1)))
        await eventually(lambda: len(heard.pieces) > 4)
        assert [("progress", "1")] == heard.story


@pytest.mark.parametrize("trouble", [Temporary("Postgres is away", code="database_unavailable"), RuntimeError("a bug")])
async def test_listeners_outlive_an_absent_database(trouble: Exception) -> None:
    """And our bugs: they hear the rest afterwards."""
    runs = Runs()
    runs.trouble = trouble
    async with live(runs) as told:
        heard = Heard(told.listen(sight(1)))
        runs.show(sight(2, is_over=True))
        await eventually(lambda: len(runs.asked) > 3)
        assert [("progress", "1")] == heard.story
        runs.trouble = None
        assert ("end", "2") == (await heard.whole())[-1]


async def test_a_process_that_stops_ends_its_streams() -> None:
    """Without an end of the run: clients come back to another process. It takes no new ones."""
    async with live(Runs()) as told:
        heard = Heard(told.listen(sight(1)))
        await eventually(lambda: heard.story)
        told.request_stop()
        assert [("progress", "1")] == await heard.whole()
        with pytest.raises(Unavailable, match="stopping"):
            told.listen(sight(1))


async def test_no_more_listeners_than_allowed() -> None:
    """One more is refused with what to do instead; a place that is given back may be taken."""
    async with live(Runs(), listeners_max=2) as told:
        first, _ = told.listen(sight(1)), told.listen(sight(1, of=OTHER))
        with pytest.raises(Unavailable) as caught:
            told.listen(sight(1))
        assert caught.value.code == "too_many_listeners"
        assert str(RUN) in caught.value.hint
        first.close()
        first.close()
        told.listen(sight(1))
        with pytest.raises(Unavailable):
            told.listen(sight(1))


@pytest.mark.parametrize("leaves", ["at once", "later"])
async def test_a_client_that_leaves_gives_its_place_back(leaves: str) -> None:
    """Also one that was gone before anything was sent."""
    async with live(Runs(), listeners_max=1) as told:
        sent = asyncio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                sent.set()

        async def receive() -> Any:
            if leaves == "later":
                await sent.wait()
            return {"type": "http.disconnect"}

        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        await asyncio.wait_for(EventStream(told.listen(sight(1)))(scope, receive, send), 5)
        told.listen(sight(1)).close()
