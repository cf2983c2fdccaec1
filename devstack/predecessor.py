"""What a killed Postgres leaves behind: a file that names its process, which makes the next one refuse to start.

Postgres removes that file itself when no process has the number any more. Two cases it cannot tell from a live server:
the killed process is dead but not yet collected by its parent, or, after a reboot say, a stranger got the number.
"""

import asyncio
from pathlib import Path
from time import monotonic

import psutil

POLL_S = 0.1


async def wait_for_predecessor(data: Path, deadline_s: float = 15.0) -> None:
    """Return when the file stands for nothing that could still write here, or after the deadline.

    Postgres then says what it sees.
    """
    lock_file = data / "postmaster.pid"
    give_up_at = monotonic() + deadline_s
    while (pid := named_pid(lock_file)) and is_uncollected(pid) and monotonic() < give_up_at:
        await asyncio.sleep(POLL_S)
    if pid and is_stranger(pid):
        lock_file.unlink()


def named_pid(lock_file: Path) -> int | None:
    """The number in the first line of the file."""
    try:
        return int(lock_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def is_uncollected(pid: int) -> bool:
    """Whether the process is dead and only its number is still taken."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def is_stranger(pid: int) -> bool:
    """Whether a process that is not Postgres has the number."""
    try:
        return "postgres" not in psutil.Process(pid).name()
    except psutil.Error:
        return False
