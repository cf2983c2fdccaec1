"""Parts come up in the order of their needs, and a failure leaves nothing running that was not running before."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from devstack.commands import Say
from devstack.errors import PortTaken, StartFailed
from devstack.part import Launch, Part, Port
from devstack.ports import Holder, holder_of, is_taken, taken_message
from devstack.status import state_of
from devstack.supervisor import Supervisor, stop_order
from devstack.together import together

SLEEPER = "import time; time.sleep(60)"


class Stack:
    """Makes parts that are small programs, and remembers what happened to them."""

    def __init__(self) -> None:
        self.story: list[str] = []

    def part(
        self, name: str, *needs: str, script: str = SLEEPER, version: str = "1", ports: tuple[Port, ...] = ()
    ) -> Part:
        """A part that is healthy as soon as it is asked."""

        async def launch() -> Launch:
            self.story.append(name)
            return Launch((sys.executable, "-c", script), dict(os.environ), Path.cwd())

        async def check() -> bool:
            return script == SLEEPER

        return Part(name, version, launch, check, ports, needs)


def port() -> Port:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Port(server.getsockname()[1], "AUTOLOADER_DEV_PROBE_PORT")


async def test_needs_come_first_and_up_again_changes_nothing(tmp_path: Path) -> None:
    """The second `up` finds everything healthy; `down` ends exactly what ran."""
    stack, supervisor = Stack(), Supervisor(tmp_path)
    parts = [stack.part("c", "b"), stack.part("b", "a"), stack.part("a")]
    try:
        assert sorted(await supervisor.up(parts)) == ["a", "b", "c"]
        assert stack.story == ["a", "b", "c"]
        assert await supervisor.up(parts) == []
        assert stack.story == ["a", "b", "c"]
    finally:
        assert sorted(await supervisor.down(parts)) == ["a", "b", "c"]
    assert await supervisor.down(parts) == []


async def test_a_failed_start_stops_what_this_call_started_and_nothing_else(tmp_path: Path) -> None:
    """What ran before still runs; the message ends with what the failed part wrote."""
    stack, supervisor = Stack(), Supervisor(tmp_path)
    before, beside = stack.part("before"), stack.part("beside")
    broken = stack.part("broken", "beside", script="print('no such table'); raise SystemExit(1)")
    await supervisor.up([before])
    try:
        with pytest.raises(StartFailed) as failure:
            await supervisor.up([before, beside, broken])
        assert (
            str(failure.value)
            == f"broken ended while starting; the end of {supervisor.log('broken')}:\n    no such table"
        )
        assert supervisor.records.running("before")
        assert not supervisor.records.running("beside")
    finally:
        await supervisor.down([before, beside, broken])


async def test_an_interruption_stops_what_was_started(tmp_path: Path) -> None:
    """As Ctrl-C does, in the middle of a start."""
    stack, supervisor = Stack(), Supervisor(tmp_path)
    started = asyncio.Event()

    async def endless(_: Say) -> None:
        started.set()
        await asyncio.Event().wait()

    first = stack.part("first")
    last = Part("last", "1", stack.part("last").launch, stack.part("last").check, needs=("first",), prepare=endless)
    work = asyncio.create_task(supervisor.up([first, last]))
    await started.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not supervisor.records.running("first")


async def test_a_part_of_another_version_is_replaced(tmp_path: Path) -> None:
    """A service whose code has changed since is not mistaken for the current one."""
    stack, supervisor = Stack(), Supervisor(tmp_path)
    await supervisor.up([stack.part("service", version="old")])
    try:
        assert await supervisor.up([stack.part("service", version="new")]) == ["service"]
        assert stack.story == ["service", "service"]
    finally:
        await supervisor.down([stack.part("service")])


async def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    """Even when it is the last part's."""
    stack = Stack()
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = Port(server.getsockname()[1], "AUTOLOADER_DEV_PROBE_PORT")
        with pytest.raises(PortTaken):
            await Supervisor(tmp_path).up([stack.part("first"), stack.part("second", "first", ports=(taken,))])
    assert stack.story == []


def test_a_listening_process_is_found_by_its_port() -> None:
    """And a port that nobody uses is free."""
    assert not is_taken(port().number)
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        holder = holder_of(number)
        assert is_taken(number)
        assert holder is not None
        assert holder.pid == os.getpid()


@pytest.mark.parametrize(
    ("holder", "message"),
    [
        (
            Holder(7, "nginx"),
            "port 9000, which minio needs, is taken by nginx (pid 7): "
            "stop it (kill 7), or choose another port with AUTOLOADER_DEV_MINIO_PORT",
        ),
        (
            None,
            "port 9000, which minio needs, is taken by a process of another user or a container: "
            "stop it, or choose another port with AUTOLOADER_DEV_MINIO_PORT",
        ),
    ],
)
def test_the_message_about_a_port_names_what_to_do(holder: Holder | None, message: str) -> None:
    """One line, with the holder as far as it may be known."""
    assert taken_message("minio", Port(9000, "AUTOLOADER_DEV_MINIO_PORT"), holder) == message


def test_parts_stop_before_what_they_need() -> None:
    """In waves; parts that do not know each other stop at the same time."""
    stack = Stack()
    parts = [
        stack.part("postgres"),
        stack.part("kafka"),
        stack.part("spark", "postgres"),
        stack.part("executor", "spark", "kafka"),
    ]
    assert [[part.name for part in wave] for wave in stop_order(parts)] == [
        ["executor"],
        ["kafka", "spark"],
        ["postgres"],
    ]


def test_parts_that_need_each_other_are_refused() -> None:
    """A circle would wait for ever."""
    stack = Stack()
    with pytest.raises(ValueError, match="a, b"):
        stop_order([stack.part("a", "b"), stack.part("b", "a")])


@pytest.mark.parametrize(
    ("runs", "answers", "state"),
    [(True, True, "healthy"), (True, False, "starting"), (False, True, "foreign"), (False, False, "stopped")],
)
def test_a_state_is_what_is_ours_and_what_answers(*, runs: bool, answers: bool, state: str) -> None:
    """Something that answers without being ours is called by its name: `down` will not touch it."""
    assert state_of(runs, answers) == state


async def test_of_several_failures_the_first_is_raised_alone() -> None:
    """A caller that catches one kind of error need not know that work was done in parallel."""

    async def fail() -> None:
        raise KeyError("first")

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(KeyError, match="first"):
        await together(wait(), fail())
