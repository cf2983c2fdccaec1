"""Starting a process that outlives us, and ending it with everything it started."""

import asyncio
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

import psutil

from devstack.part import Launch, Part
from devstack.records import Record, Records

POLL_S = 0.05


class Detached(subprocess.Popen[bytes]):
    """A process that is meant to outlive us: letting go of it is no mistake that deserves a warning."""

    def __del__(self) -> None:
        """Leave it running."""


def spawn(part: Part, launch: Launch, log: Path, records: Records) -> Detached:
    """Start detached: its own session, so that no Ctrl-C of this terminal reaches it, and its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    with log.open("wb") as output:
        child = Detached(
            [str(argument) for argument in launch.command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(launch.environment),
            cwd=launch.directory,
            start_new_session=True,
            **(launch.user.process_arguments() if launch.user else {}),
        )
    try:
        started_at = psutil.Process(child.pid).create_time()
        records.write(Record(part.name, child.pid, started_at, part.version))
    except BaseException:
        child.kill()
        child.wait()
        raise
    return child


async def end(part: Part, records: Records) -> bool:
    """End the part's own process and its descendants; whether there was one. After the deadline they are killed."""
    process = records.running(part.name)
    if process is None:
        records.forget(part.name)
        return False
    family = [process, *_descendants(process)]
    _signal(process, part.stop_signal)
    if not await _gone([process], part.stop_deadline_s):
        family = [*family, *_descendants(process)]
    for member in family:
        _signal(member, signal.SIGKILL)
    await _gone(family, part.stop_deadline_s)
    records.forget(part.name)
    return True


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _signal(process: psutil.Process, number: int) -> None:
    # psutil compares the start time before it sends, so a number used again is never hit.
    with suppress(psutil.Error):
        process.send_signal(number)


async def _gone(processes: Sequence[psutil.Process], deadline_s: float) -> bool:
    """Wait until none of them runs, at most so long."""
    give_up_at = monotonic() + deadline_s
    while any(lives(process) for process in processes):
        if monotonic() > give_up_at:
            return False
        await asyncio.sleep(POLL_S)
    return True


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; one that is dead but not yet collected by its parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
