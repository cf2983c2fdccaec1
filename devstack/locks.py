"""One at a time: a lock held through a file, so that two processes that fetch or start the same thing take turns."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.commands import Say

POLL_S = 0.2


@asynccontextmanager
async def file_lock(path: Path, say: Say, waiting_for: str) -> AsyncIterator[None]:
    """Hold `path` locked. The kernel frees it when the holder dies, however it dies. A wait is announced once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        announced = False
        while not _try_lock(file.fileno()):
            if not announced:
                say(f"waiting for {waiting_for}")
                announced = True
            await asyncio.sleep(POLL_S)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
