"""One service process in the middle of one piece of work, and everything that can befall it.

It stands still before and after each call that leaves it: to the ledger, the table, the object store. There it can be
let go on, killed, asked to stop, or forgotten until its lease has gone to another one: then it is a zombie.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from enum import StrEnum
from typing import Any, TypeVar, cast

from libs.common.errors import AutoloaderError, Temporary
from tests.support.crash import Crash

T = TypeVar("T")


class Mishap(StrEnum):
    """What goes wrong with a call, although it has its effect."""

    SPARK_ANSWER_LOST = "the table did it, and the answer is lost"
    COMMIT_ANSWER_LOST = "Postgres committed, and the answer is lost"
    SPARK_RUNS_TWICE = "Spark Connect executes the call twice by itself"


class Process:
    """Runs one piece of work as far as it is told. ``bugs`` are exceptions that no world may cause: also those that a
    handler caught."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.mishap: Mishap | None = None
        self.stands_before: str | None = None
        """The call that it makes when it goes on; None when it just made one."""
        self.bugs: list[BaseException] = []
        self._loop = loop
        self._let_go: asyncio.Future[None] | None = None
        self._stands: asyncio.Future[None] = loop.create_future()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return self.name

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Up to its first call."""
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._ended)
        self._loop.run_until_complete(self._stands)

    def step(self) -> None:
        """To the next place where it stands, or to its end."""
        if self._let_go is not None:
            let_go, self._let_go = self._let_go, None
            self._move(lambda: let_go.set_result(None))

    def kill(self) -> None:
        """As ``kill -9``: what it does on its way out reaches nobody."""
        self.is_dead = True
        self.step()

    def ask_to_stop(self) -> None:
        """As SIGTERM: it is cancelled where it stands, and may still tidy up."""
        if self._task is not None and self._let_go is not None:
            self._let_go = None
            self._move(self._task.cancel)

    @property
    def is_over(self) -> bool:
        return self._task is not None and self._task.done()

    def around_ledger(self, ledger: T) -> T:
        return cast("T", _Calls(ledger, self, answer_lost=Mishap.COMMIT_ANSWER_LOST))

    def around_table(self, table: T) -> T:
        return cast("T", _Calls(table, self, answer_lost=Mishap.SPARK_ANSWER_LOST))

    def around_objects(self, objects: T) -> T:
        return cast("T", _Listing(objects, self))

    async def turn(self, before: str | None = None) -> None:
        """Stands here until it is let go on."""
        self._die_if_dead()
        self.stands_before = before
        self._let_go = self._loop.create_future()
        self._tell()
        await self._let_go
        self._die_if_dead()

    def _move(self, by: Any) -> None:
        self._stands = self._loop.create_future()
        by()
        self._loop.run_until_complete(self._stands)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AutoloaderError | Crash):
            self.bugs.append(error)
        self._tell()

    def _tell(self) -> None:
        if not self._stands.done():
            self._stands.set_result(None)

    def _die_if_dead(self) -> None:
        if self.is_dead:
            raise Crash(self.name)


_ANSWERS_LOST = {
    Mishap.SPARK_ANSWER_LOST: Temporary("the answer was lost", code="spark_unreachable"),
    Mishap.COMMIT_ANSWER_LOST: Temporary("the connection broke on COMMIT", code="database_unavailable"),
}
_RUN_TWICE = frozenset({"stage", "stage_burn", "publish", "create", "rename"})


class _Calls:
    def __init__(self, thing: Any, process: Process, *, answer_lost: Mishap | None = None) -> None:
        self._thing = thing
        self._process = process
        self._answer_lost = answer_lost

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._thing, name)
        if not callable(method):
            return method

        async def called(*args: Any, **kwargs: Any) -> Any:
            await self._process.turn(name)
            try:
                result = await method(*args, **kwargs)
                if name in _RUN_TWICE and self._happens(Mishap.SPARK_RUNS_TWICE):
                    result = await method(*args, **kwargs)
            except Exception as error:
                if not isinstance(error, AutoloaderError):
                    self._process.bugs.append(error)
                raise
            await self._process.turn()
            if self._answer_lost is not None and self._happens(self._answer_lost):
                raise _ANSWERS_LOST[self._answer_lost]
            return result

        return called

    def _happens(self, mishap: Mishap | None) -> bool:
        """The process's mishap strikes once."""
        if mishap is None or self._process.mishap is not mishap:
            return False
        self._process.mishap = None
        return True


class _Listing(_Calls):
    """An object store: its listing comes page by page."""

    async def pages(self, *args: Any) -> AsyncIterator[Any]:
        await self._process.turn()
        async for page in self._thing.pages(*args):
            await self._process.turn()
            yield page

    async def stretches(self, *args: Any) -> AsyncIterator[Any]:
        await self._process.turn()
        async for stretches in self._thing.stretches(*args):
            await self._process.turn()
            yield stretches
