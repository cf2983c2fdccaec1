"""The promise that all fetching shares.

A folder in the cache is either complete or absent, and only one process makes it.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from devstack.commands import Say
from devstack.locks import file_lock

OPEN_TO_ALL = 0o755
"""An unprivileged Postgres must reach its binaries; nothing in the cache is a secret."""


async def fetch_once(target: Path, make: Callable[[Path], Awaitable[None]], say: Say) -> Path:
    """Return `target`, made by `make(temporary folder)` if it does not exist yet.

    The temporary folder is renamed at the very end: a crash or Ctrl-C on the way leaves no half-made target. Two
    processes that want the same target take turns, and the second finds the first one's work.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    async with file_lock(target.parent / f".{target.name}.lock", say, f"another process that fetches {target.name}"):
        if target.exists():
            return target
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            temporary.chmod(OPEN_TO_ALL)
            await make(temporary)
            await asyncio.to_thread(temporary.rename, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target
