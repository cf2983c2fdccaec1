"""Running a command to its end: its output line by line, and no child left behind when the caller is cancelled."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devstack.errors import DevstackError
from devstack.users import User

TAIL_LINES = 12
"""How much of a failed command's output its error repeats."""

LINE_BYTES_MAX = 4 * 1024 * 1024
"""Ivy draws one dot for each block of a download on a single line."""

GOODBYE_S = 5.0
"""How long an interrupted command may take to end by itself."""

Say = Callable[[str], None]
"""Tells the reader one line of progress."""


class CommandFailed(DevstackError):
    """A command ended with a non-zero exit code."""


def quiet(_: str) -> None:
    """Say nothing."""


async def run(
    what: str,
    command: Sequence[str | Path],
    *,
    on_line: Say = quiet,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    user: User | None = None,
) -> str:
    """Run `command` and return its output (both streams together). `what` names it in the error: "building MinIO"."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        cwd=directory,
        limit=LINE_BYTES_MAX,
        **(user.process_arguments() if user else {}),
    )
    lines: deque[str] = deque(maxlen=2000)
    try:
        assert process.stdout is not None  # a pipe was asked for; the types do not know
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            lines.append(line)
            on_line(line)
        code = await process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if code != 0:
        raise CommandFailed(failure_text(what, code, lines))
    return "\n".join(lines)


async def run_attached(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `command` on our own terminal and return its exit code."""
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        # Ctrl-C reached it as well: give it time for its own goodbye. TERM did not: end it then.
        try:
            await asyncio.wait_for(process.wait(), GOODBYE_S)
        except TimeoutError:
            process.kill()
        raise


def failure_text(what: str, code: int, lines: Sequence[str] | deque[str]) -> str:
    """One line about the failure, then the end of the output without blank lines and progress dots."""
    tail = [line for line in lines if line.strip(" .")][-TAIL_LINES:]
    return "\n    ".join([f"{what} failed (exit code {code}); its last lines:", *tail])
