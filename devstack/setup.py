"""`python3 -m devstack.setup`: make the clone ready, with nothing but Python 3.11 at hand.

Two things take long on a new machine and need different resources, so they run side by side: building MinIO
(processors), and bringing the Python packages and then the jars (network). A second run finds everything done.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from devstack.commands import CommandFailed, Say, run
from devstack.console import part_line
from devstack.errors import DevstackError
from devstack.fetch.minio import fetch_minio
from devstack.places import CLONE, cache_dir
from devstack.together import together

VENV = CLONE / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = CLONE / "requirements-dev.lock"


async def prepare_clone() -> None:
    """Everything that `make up` and `make test` take for granted."""
    await together(_minio(part_line("minio")), _python_and_jars(part_line("python")))


async def _minio(say: Say) -> None:
    try:
        await fetch_minio(cache_dir(), say)
    except DevstackError as failure:
        # Unit tests, linting and a stack of containers work without it; `up` repeats this line when it matters.
        say(f"not ready: {failure}")


async def _python_and_jars(say: Say) -> None:
    started = monotonic()
    if not PYTHON.exists():
        say("making .venv")
        await run("making .venv (Debian has it in the package python3-venv)", [sys.executable, "-m", "venv", VENV])
    say("installing the locked packages")
    await install_uv()
    await install_packages(say)
    # In place: an edit of the clone is what runs. The build backend is installed already, so nothing is downloaded.
    await uv("installing the clone", ["pip", "install", "--no-deps", "--no-build-isolation", "--editable", CLONE])
    say(f"ready after {monotonic() - started:.0f} s")
    await run("fetching", [PYTHON, "-m", "devstack.fetch", "--without-minio"], directory=CLONE, on_line=print)


async def install_uv() -> None:
    """Install uv alone, by its own lines of the lock.

    It brings the other hundred packages several times as fast as pip.
    """
    if (VENV / "bin" / "uv").exists():
        return
    only_uv = VENV / "uv.lock"
    only_uv.write_text(lines_of("uv", LOCK.read_text()))
    await run("installing uv", [PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", only_uv])


async def install_packages(say: Say) -> None:
    """Make .venv exactly what the lock says, compiled: where Python may not write bytecode, every start of a service
    would compile pyspark and pandas anew, and a crash would be felt three seconds longer."""
    try:
        await uv("installing packages", ["pip", "sync", "--compile-bytecode", "--require-hashes", LOCK])
    except CommandFailed:
        # pip reads the machine's own pip settings (a mirror, a proxy), which uv does not.
        say("uv did not succeed, trying pip")
        await run("installing packages", [PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", LOCK])


async def uv(what: str, arguments: Sequence[str | Path]) -> None:
    """Run uv on .venv."""
    await run(
        what, [VENV / "bin" / "uv", *arguments], environment={**os.environ, "VIRTUAL_ENV": str(VENV)}, directory=CLONE
    )


def lines_of(package: str, lock: str) -> str:
    """The part of a hashed lock that pins one package: its own line and the hashes that continue it."""
    lines = lock.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    last = first
    while lines[last].endswith("\\"):
        last += 1
    return "\n".join(lines[first : last + 1]) + "\n"


if __name__ == "__main__":
    try:
        asyncio.run(prepare_clone())
    except DevstackError as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
