"""Start and stop of a process, once for all services.

    service = Service("scanner")
    service.add_resource("database", start=database.ping, stop=database.close)
    service.add_task("relay", relay.run)
    service.add_task("run-requests", loop.run, request_stop=loop.request_stop)
    sys.exit(run_service(service))

Resources start in the order in which they were added, then tasks; everything stops in the reverse order, each step
with its own deadline, each step visible in the log. If a task ends by itself, the service says which one and ends.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from libs.common.errors import AutoloaderError
from libs.common.logs import get_logger

Step = Callable[[], Awaitable[object]]
STOP_DEADLINE = timedelta(seconds=10)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Resource:
    name: str
    start: Step | None
    stop: Step | None
    stop_deadline: timedelta


@dataclass(frozen=True, slots=True)
class _Background:
    name: str
    function: Callable[[], Coroutine[Any, Any, object]]
    request_stop: Callable[[], object] | None
    stop_deadline: timedelta


class Service:
    """What one process consists of. ``run`` is called once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._resources: list[_Resource] = []
        self._background: list[_Background] = []
        self._stop = asyncio.Event()

    def add_resource(
        self,
        name: str,
        start: Step | None = None,
        stop: Step | None = None,
        stop_deadline: timedelta = STOP_DEADLINE,
    ) -> None:
        """Something to open before and to close after. Only what was started is stopped."""
        self._resources.append(_Resource(name, start, stop, stop_deadline))

    def add_task(
        self,
        name: str,
        function: Callable[[], Coroutine[Any, Any, object]],
        *,
        request_stop: Callable[[], object] | None = None,
        stop_deadline: timedelta = STOP_DEADLINE,
    ) -> None:
        """Work in the background. At shutdown it is asked to stop and then awaited; without ``request_stop``, or
        after the deadline, it is cancelled. Tasks that others need to the end (the relay) are added first."""
        self._background.append(_Background(name, function, request_stop, stop_deadline))

    def request_stop(self) -> None:
        """Ends ``run``. May be called twice, and from a signal handler."""
        self._stop.set()

    async def run(self) -> int:
        """Starts, waits for a signal or for a task's death, stops. Returns the exit code.

        Raises:
            AutoloaderError: a start step failed; what had been started is stopped again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not in the main thread: tests
                loop.add_signal_handler(number, self._signalled, signal.Signals(number).name)
        started: list[_Resource] = []
        tasks: dict[asyncio.Task[object], _Background] = {}
        try:
            for resource in self._resources:
                if not await self._start(resource, started):
                    return 0
            for background in self._background:
                tasks[asyncio.create_task(background.function(), name=background.name)] = background
            _log.info("service.ready", service=self.name)
            return await self._until_stop(tasks)
        finally:
            await self._shut_down(started, tasks)

    async def _start(self, resource: _Resource, started: list[_Resource]) -> bool:
        """Starts one resource; False if a stop was requested meanwhile."""
        began = time.monotonic()
        if resource.start is not None:
            start = asyncio.ensure_future(_awaited(resource.start))
            stop = asyncio.ensure_future(self._stop.wait())
            try:
                await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
                if not start.done():
                    return False
                start.result()
            finally:
                for task in (start, stop):
                    task.cancel()
                await asyncio.gather(start, stop, return_exceptions=True)
        started.append(resource)
        _log.info("service.started", service=self.name, step=resource.name, duration_ms=_ms_since(began))
        return not self._stop.is_set()

    async def _until_stop(self, tasks: dict[asyncio.Task[object], _Background]) -> int:
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((stop, *tasks), return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                return 0
            for task in tasks:
                if task.done():
                    _tell_death(self.name, task)
            return 1
        finally:
            stop.cancel()

    async def _shut_down(self, started: list[_Resource], tasks: dict[asyncio.Task[object], _Background]) -> None:
        """The list of steps: tasks, latest first, then resources, latest first."""
        self._stop.set()
        _log.info("service.stopping", service=self.name)
        for background in reversed(tasks.values()):
            if background.request_stop is not None:
                background.request_stop()  # all at once, so that their last minutes do not add up
        for task, background in reversed(tasks.items()):
            if not task.done():
                await self._step(background.name, _stop_task(task, background), background.stop_deadline)
        for resource in reversed(started):
            if resource.stop is not None:
                await self._step(resource.name, _awaited(resource.stop), resource.stop_deadline)
        _log.info("service.stopped", service=self.name)

    async def _step(self, name: str, work: Coroutine[Any, Any, object], deadline: timedelta) -> None:
        """One step of the shutdown. Whatever happens in it, the next step follows."""
        began = time.monotonic()
        try:
            # The slack lets a task that is cancelled at its deadline tidy up.
            async with asyncio.timeout(deadline.total_seconds() + 1):
                await work
        except TimeoutError:
            _log.error("service.stop_late", service=self.name, step=name, deadline_s=deadline.total_seconds())
        except Exception:  # noqa: BLE001 - whatever happens in a step, the next one follows
            _log.exception("service.stop_failed", service=self.name, step=name)
        else:
            _log.info("service.step_stopped", service=self.name, step=name, duration_ms=_ms_since(began))

    def _signalled(self, name: str) -> None:
        _log.info("service.signal", service=self.name, signal=name, already_stopping=self._stop.is_set())
        self.request_stop()


async def _awaited(step: Step) -> None:
    await step()


async def _stop_task(task: asyncio.Task[object], background: _Background) -> None:
    if background.request_stop is not None:
        await asyncio.wait((task,), timeout=background.stop_deadline.total_seconds())
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


def _tell_death(service: str, task: asyncio.Task[object]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, AutoloaderError):
        _log.error(
            "service.task_died", service=service, task=task.get_name(), code=error.code, problem=error.message,
            hint=error.hint,
        )  # fmt: skip
    else:
        _log.error("service.task_died", service=service, task=task.get_name(), problem=repr(error), exc_info=error)


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


def run_service(service: Service, *, new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> int:
    """For ``__main__``: runs the service, returns the exit code. A start that fails for a known reason prints one
    clear line, without a traceback. ``new_loop`` makes another event loop than asyncio's own."""
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(service.run())
    except AutoloaderError as error:
        hint = f" ({error.hint})" if error.hint else ""
        print(f"{service.name} cannot start: {error.message}{hint}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - the process's last words
        _log.exception("service.crashed", service=service.name)
        return 1
