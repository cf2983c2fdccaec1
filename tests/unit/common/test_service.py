"""Start and stop are a contract: visible steps, deadlines, and a named culprit."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from libs.common.errors import Temporary
from libs.common.service import Service, run_service
from tests.support.eventually import eventually

REPO = Path(__file__).parents[3]
SOON = timedelta(milliseconds=30)


def say(diary: list[str], word: str) -> Callable[[], Coroutine[Any, Any, None]]:
    async def step() -> None:
        diary.append(word)

    return step


async def forever() -> None:
    await asyncio.Event().wait()


async def test_everything_stops_in_the_reverse_order_of_its_start() -> None:
    """Tasks first, then resources."""
    diary: list[str] = []
    service = Service("s")

    async def work() -> None:
        diary.append("work")
        try:
            await forever()
        finally:
            diary.append("work ends")

    service.add_resource("a", say(diary, "open a"), say(diary, "close a"))
    service.add_resource("b", say(diary, "open b"), say(diary, "close b"))
    service.add_task("work", work)
    running = asyncio.create_task(service.run())
    await eventually(lambda: "work" in diary)
    service.request_stop()
    service.request_stop()
    assert 0 == await running
    assert ["open a", "open b", "work", "work ends", "close b", "close a"] == diary


async def test_ready_is_said_once_everything_has_started() -> None:
    """Other programs wait for this line."""
    service = Service("scanner")
    service.add_resource("a", say([], "x"))
    with capture_logs() as logs:
        running = asyncio.create_task(service.run())
        await eventually(lambda: any(line["event"] == "service.ready" for line in logs))
        service.request_stop()
        await running
    events = [(line["event"], line.get("step")) for line in logs]
    assert [
        ("service.started", "a"),
        ("service.ready", None),
        ("service.stopping", None),
        ("service.stopped", None),
    ] == events
    assert "scanner" == logs[1]["service"]


async def test_a_task_that_dies_ends_the_service_and_is_named() -> None:
    """With its error; the rest is shut down in order."""
    diary: list[str] = []

    async def die() -> None:
        raise KeyError("oops")

    service = Service("s")
    service.add_resource("a", stop=say(diary, "close a"))
    service.add_task("other", forever)
    service.add_task("relay", die)
    with capture_logs() as logs:
        assert 1 == await service.run()
    [death] = [line for line in logs if line["event"] == "service.task_died"]
    assert ("relay", "KeyError('oops')") == (death["task"], death["problem"])
    assert ["close a"] == diary


async def test_a_task_that_just_returns_has_died_too() -> None:
    """Background work is for ever."""
    service = Service("s")
    service.add_task("short", say([], "x"))
    assert 1 == await service.run()


async def test_a_task_may_stop_by_itself_before_it_is_cancelled() -> None:
    """A consumer finishes what it runs."""
    diary: list[str] = []
    asked = asyncio.Event()

    async def work() -> None:
        await asked.wait()
        await asyncio.sleep(0.01)
        diary.append("finished")

    service = Service("s")
    service.add_task("work", work, request_stop=asked.set)
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    service.request_stop()
    assert 0 == await running
    assert ["finished"] == diary


async def test_a_step_that_hangs_is_left_behind_at_its_deadline() -> None:
    """The next step follows, whatever happens in this one."""
    diary: list[str] = []

    async def fail() -> None:
        raise OSError("no")

    service = Service("s")
    service.add_resource("a", stop=say(diary, "close a"))
    service.add_resource("b", stop=fail)
    service.add_resource("c", stop=forever, stop_deadline=SOON)
    service.add_task("deaf", forever, request_stop=lambda: None, stop_deadline=SOON)
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    service.request_stop()
    with capture_logs() as logs:
        assert 0 == await asyncio.wait_for(running, 5)
    assert ["close a"] == diary
    assert [("service.stop_late", "c"), ("service.stop_failed", "b")] == [
        (line["event"], line["step"]) for line in logs if line["log_level"] == "error"
    ]


async def test_a_failed_start_closes_what_was_open() -> None:
    """And only that."""
    diary: list[str] = []

    async def fail() -> None:
        raise Temporary("Postgres is away", code="database_unavailable")

    service = Service("s")
    service.add_resource("a", say(diary, "open a"), say(diary, "close a"))
    service.add_resource("b", fail, say(diary, "close b"))
    service.add_resource("c", say(diary, "open c"), say(diary, "close c"))
    with pytest.raises(Temporary):
        await service.run()
    assert ["open a", "close a"] == diary


async def test_a_stop_during_a_slow_start_is_obeyed() -> None:
    """Nobody waits for a start that is not wanted any more."""
    service = Service("s")
    service.add_resource("slow", forever)
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    service.request_stop()
    assert 0 == await asyncio.wait_for(running, 2)


def test_a_start_that_fails_for_a_known_reason_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What happened, what to do; no traceback; exit code 1."""

    async def fail() -> None:
        raise Temporary("Postgres is away", code="database_unavailable", hint="start it")

    service = Service("autoloader-scanner")
    service.add_resource("database", fail)
    assert 1 == run_service(service)
    assert "autoloader-scanner cannot start: Postgres is away (start it)" in capsys.readouterr().err


PROGRAM = """
import asyncio, sys
from datetime import timedelta
from libs.common import logs
from libs.common.service import Service, run_service
logs.configure()
async def forever(): await asyncio.Event().wait()
service = Service("x")
service.add_task("t", forever)
sys.exit(run_service(service))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_a_process_cleanly(number: signal.Signals) -> None:
    """Exit code 0, every step in the log; a second signal changes nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if '"service.ready"' in line:
                break
        process.send_signal(number)
        rest = process.stderr.read()
        assert 0 == process.wait(10)
    assert '"service.signal"' in rest
    assert '"service.stopped"' in rest


async def test_all_tasks_are_asked_to_stop_at_once_and_the_first_one_ends_last() -> None:
    """Their last moments do not add up, and the relay outlives those who still write."""
    diary: list[str] = []
    service = Service("s")

    async def relay() -> None:
        try:
            await forever()
        finally:
            diary.append("relay ends")

    def add(name: str) -> None:
        asked = asyncio.Event()

        async def work() -> None:
            await asked.wait()
            diary.append(f"{name} asked")
            await asyncio.sleep(0.02)
            diary.append(f"{name} ends")

        service.add_task(name, work, request_stop=asked.set)

    service.add_task("relay", relay)
    add("a")
    add("b")
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    service.request_stop()
    await running
    assert {"a asked", "b asked"} == set(diary[:2])
    assert "relay ends" == diary[-1]
