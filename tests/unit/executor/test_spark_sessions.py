"""The pool of sessions: one batch has one to itself; what is not good for the next batch is stopped."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from libs.common.contracts.definition import Credentials
from libs.common.errors import Temporary
from services.executor.adapters.spark_sessions import IDLE_MAX_S, SessionKey, SparkSessions
from tests.support.eventually import eventually


@dataclass(eq=False)
class FakeSession:
    """Notes what is done to it."""

    key: SessionKey
    ended: list[str] = field(default_factory=list)

    def interruptAll(self) -> None:  # noqa: N802 - pyspark's name
        self.ended.append("interrupted")

    def stop(self) -> None:
        self.ended.append("stopped")


@dataclass(eq=False)
class Server:
    """A port where something listens, and the sessions that were opened there. ``gate`` holds openings up."""

    url: str
    opened: list[FakeSession] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    opening: threading.Event = field(default_factory=threading.Event)
    now_s: float = 1000.0

    def open(self, key: SessionKey) -> Any:
        self.opening.set()
        self.gate.wait(10)
        self.opened.append(FakeSession(key))
        return self.opened[-1]

    def key(self, secret: str = "s") -> SessionKey:
        access = Credentials(aws_access_key_id="k", aws_secret_access_key=secret)
        return SessionKey(self.url, "landing", access)

    def pool(self, *, idle_max: int = 2, call_timeout_s: float = 10) -> SparkSessions:
        return SparkSessions(
            threads=6,
            idle_max=idle_max,
            call_timeout_s=call_timeout_s,
            opener=self.open,
            clock_s=lambda: self.now_s,
        )


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with listening:
        found = Server(f"sc://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        found.gate.set()
        yield found
        found.gate.set()


async def use(pool: SparkSessions, key: SessionKey) -> FakeSession:
    """A batch that goes well."""
    async with pool.borrow(key) as session:
        await session.run(lambda: None)
        return cast("FakeSession", session.spark)


async def ended(session: FakeSession, how: list[str]) -> bool:
    await eventually(lambda: session.ended == how, what=f"the session is {how}")
    return True


async def test_a_session_is_used_again_with_the_same_access_only(server: Server) -> None:
    """Its settings are its access."""
    pool = server.pool()
    first = await use(pool, server.key())
    assert first is await use(pool, server.key())
    assert first is not await use(pool, server.key("other"))
    assert 2 == len(server.opened)


async def test_two_batches_at_once_have_two_sessions(server: Server) -> None:
    """A wap id is a setting of the session."""
    pool = server.pool()
    async with pool.borrow(server.key()) as one, pool.borrow(server.key()) as other:
        assert one.spark is not other.spark


async def test_idle_sessions_are_bounded_in_all(server: Server) -> None:
    """Each pins a connection of the catalog; a hundred ingestions that come once a day must not pin a hundred."""
    pool = server.pool(idle_max=2)
    used = [await use(pool, server.key(f"secret {n}")) for n in range(4)]
    assert all([await ended(one, ["stopped"]) for one in used[:2]])
    assert used[3] is await use(pool, server.key("secret 3"))
    assert used[2] is await use(pool, server.key("secret 2"))


async def test_a_session_that_rested_for_long_is_not_used_again(server: Server) -> None:
    """The server may have evicted it; whatever access it was for, it is let go."""
    pool = server.pool()
    old, other = await use(pool, server.key()), await use(pool, server.key("other"))
    server.now_s += IDLE_MAX_S - 1
    assert old is await use(pool, server.key())
    server.now_s += 1
    assert old is await use(pool, server.key())
    assert await ended(other, ["stopped"])
    server.now_s += IDLE_MAX_S
    assert old is not await use(pool, server.key())
    assert await ended(old, ["stopped"])


async def test_after_a_failure_none_of_the_same_access_is_trusted(server: Server) -> None:
    """A restarted server knows none of them: a batch would meet the dead ones one by one, and be given up."""
    pool = server.pool(idle_max=3)
    async with pool.borrow(server.key()), pool.borrow(server.key()):
        pass
    stranger = await use(pool, server.key("other"))
    with pytest.raises(ZeroDivisionError):
        async with pool.borrow(server.key()) as session:
            failing = cast("FakeSession", session.spark)
            await session.run(lambda: 1 / 0)
    [sister] = [one for one in server.opened if one not in (failing, stranger)]
    assert await ended(failing, ["interrupted", "stopped"])
    assert await ended(sister, ["stopped"])
    assert stranger is await use(pool, server.key("other"))
    assert [] == stranger.ended


async def test_a_call_that_hangs_is_given_up_with_its_session(server: Server) -> None:
    """The thread is left behind; the batch goes on elsewhere."""
    pool = server.pool(call_timeout_s=0.05)
    release = threading.Event()
    with pytest.raises(TimeoutError):
        async with pool.borrow(server.key()) as session:
            await session.run(lambda: release.wait(10))
    assert await ended(server.opened[0], ["interrupted", "stopped"])
    assert server.opened[0] is not await use(pool, server.key())
    release.set()


async def test_a_batch_that_is_cancelled_during_a_call_leaves_no_session(server: Server) -> None:
    """The call still runs in its thread: whoever came next would work beside it."""
    pool = server.pool()
    running, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(running.set)
        release.wait(10)

    async def batch() -> None:
        async with pool.borrow(server.key()) as session:
            await session.run(work)

    task = asyncio.create_task(batch())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(server.opened[0], ["interrupted", "stopped"])
    release.set()


async def test_trouble_outside_of_spark_does_not_cost_the_session(server: Server) -> None:
    """A batch that was fenced, for one."""
    pool = server.pool()
    with pytest.raises(ZeroDivisionError):
        async with pool.borrow(server.key()) as session:
            await session.run(lambda: None)
            raise ZeroDivisionError
    assert server.opened[0] is await use(pool, server.key())


async def test_a_session_that_opens_too_late_is_stopped(server: Server) -> None:
    """Its batch was cancelled meanwhile; nobody else knows of it."""
    pool = server.pool()
    server.gate.clear()
    task = asyncio.create_task(use(pool, server.key()))
    await eventually(server.opening.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.gate.set()
    await eventually(lambda: server.opened)
    assert await ended(server.opened[0], ["stopped"])


async def test_nobody_listening_is_told_at_once() -> None:
    """pyspark itself would try for ten minutes."""
    pool = SparkSessions(threads=1, idle_max=1, call_timeout_s=1)
    with pytest.raises(Temporary) as told:
        async with pool.borrow(SessionKey("sc://127.0.0.1:1", "b", None)):
            pass
    assert "spark_unreachable" == told.value.code


async def test_closing_stops_what_is_idle(server: Server) -> None:
    """The server would keep it for an hour."""
    pool = server.pool()
    idle = await use(pool, server.key())
    await pool.close()
    assert ["stopped"] == idle.ended
