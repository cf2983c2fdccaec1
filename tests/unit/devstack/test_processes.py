"""Only our own processes are ended, and all of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devstack.part import Launch, Part
from devstack.predecessor import is_stranger, is_uncollected, named_pid, wait_for_predecessor
from devstack.processes import end, lives, spawn
from devstack.records import START_TOLERANCE_S, Record, Records, find
from tests.support.eventually import eventually

READY = "ready"


async def yes() -> bool:
    """Always healthy."""
    return True


def part(script: str, *, stop_deadline_s: float = 20.0) -> Part:
    """A part that is a small Python program."""

    async def launch() -> Launch:
        return Launch((sys.executable, "-u", "-c", script), dict(os.environ), Path.cwd())

    return Part("probe", "1", launch, yes, stop_deadline_s=stop_deadline_s)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """Of an empty state folder."""
    return Records(tmp_path / "run")


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A process that no record names."""
    with subprocess.Popen(["sleep", "60"]) as child:
        yield psutil.Process(child.pid)
        child.kill()


async def until_written(log: Path, word: str) -> None:
    """Wait until the part has said so."""
    await eventually(lambda: word in log.read_text(), deadline_s=20)


def test_a_record_names_a_process_by_number_and_start() -> None:
    """A number alone is used again by strangers; the clock that the start is read from may be corrected a little."""
    record = Record("kafka", 100, 1000.0, "4.1.0")
    assert record.names(100, 1000.0 + START_TOLERANCE_S / 2)
    assert not record.names(100, 1000.0 + START_TOLERANCE_S * 2)
    assert not record.names(101, 1000.0)


def test_a_record_is_read_as_it_was_written(records: Records) -> None:
    """Until it is forgotten."""
    record = Record("kafka", 100, 1000.5, "4.1.0")
    records.write(record)
    assert records.read("kafka") == record
    records.forget("kafka")
    assert records.read("kafka") is None


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1}', "[]", '{"part": "x", "surprise": 1}'])
def test_a_record_that_cannot_be_read_is_as_good_as_none(records: Records, tmp_path: Path, content: str) -> None:
    """A full disk or an older version must not stop `down` from working."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kafka.json").write_text(content)
    assert records.read("kafka") is None


async def test_a_number_that_was_used_again_is_left_alone(records: Records, stranger: psutil.Process) -> None:
    """The record is of a process that started at another time: `end` forgets it and touches nobody."""
    records.write(Record("probe", stranger.pid, stranger.create_time() - 3600, "1"))
    assert not await end(part(""), records)
    assert lives(stranger)
    assert records.read("probe") is None


async def test_ending_takes_the_descendants_along(records: Records, tmp_path: Path) -> None:
    """A part that dies without ending its children leaves none of them behind."""
    script = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, 'ready'); time.sleep(60)"
    probe = part(script)
    log = tmp_path / "probe.log"
    child = spawn(probe, await probe.launch(), log, records)
    await until_written(log, READY)
    grandchild = psutil.Process(int(log.read_text().split()[0]))
    assert await end(probe, records)
    assert child.wait() == -signal.SIGTERM
    assert not lives(grandchild)


async def test_a_part_that_ignores_the_signal_is_killed_after_its_deadline(records: Records, tmp_path: Path) -> None:
    """`down` always comes to an end."""
    probe = part(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready'); time.sleep(60)", stop_deadline_s=0.2
    )
    log = tmp_path / "probe.log"
    child = spawn(probe, await probe.launch(), log, records)
    await until_written(log, READY)
    assert await end(probe, records)
    assert child.wait() == -signal.SIGKILL


async def test_a_part_gets_a_session_of_its_own_and_keeps_its_previous_log(records: Records, tmp_path: Path) -> None:
    """Ctrl-C in the terminal that started it does not reach it; what the last life wrote can still be read."""
    probe = part("import os; print(os.getsid(0) == os.getpid(), flush=True)")
    log = tmp_path / "probe.log"
    log.write_text("earlier life")
    assert spawn(probe, await probe.launch(), log, records).wait() == 0
    assert log.read_text() == "True\n"
    assert log.with_suffix(".previous.log").read_text() == "earlier life"


def test_a_dead_process_that_nobody_collected_is_gone() -> None:
    """Its number is still taken, but it does nothing any more."""
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    record = Record("probe", child.pid, psutil.Process(child.pid).create_time(), "1")
    assert find(record) is None
    assert is_uncollected(child.pid)
    child.wait()


async def test_a_lock_file_of_postgres_that_names_a_stranger_is_removed(
    tmp_path: Path, stranger: psutil.Process
) -> None:
    """After a reboot the number may be anybody's, and Postgres would refuse to start for ever."""
    lock_file = tmp_path / "postmaster.pid"
    lock_file.write_text(f"{stranger.pid}\n{tmp_path}\n")
    assert named_pid(lock_file) == stranger.pid
    assert is_stranger(stranger.pid)
    await wait_for_predecessor(tmp_path)
    assert not lock_file.exists()
    assert lives(stranger)


async def test_without_a_lock_file_there_is_no_predecessor(tmp_path: Path) -> None:
    """The usual case."""
    await wait_for_predecessor(tmp_path)
    assert named_pid(tmp_path / "postmaster.pid") is None
