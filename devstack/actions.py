"""What the commands of `autoloader dev` do.

Each receives the settings, which are read once, in `run`; each returns an exit code.
"""

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from devstack import logs as reading
from devstack.commands import run_attached
from devstack.console import part_line
from devstack.environment import client_environment
from devstack.errors import DevstackError
from devstack.locks import file_lock
from devstack.part import Part
from devstack.parts import backing_parts, service_parts
from devstack.settings import PREFIX, DevSettings
from devstack.status import status_table, statuses
from devstack.supervisor import Supervisor, require_answers

INTERRUPTED = 130
"""Exit code after Ctrl-C or TERM, as shells have it."""

ALONE = "another command that starts or stops parts"


def run(action: Callable[..., Coroutine[Any, Any, int]], **arguments: Any) -> int:
    """Run an action: a problem that the reader can act on is one message and exit code 1, an interruption is 130."""
    try:
        return asyncio.run(_interruptible(action(DevSettings(), **arguments)))
    except ValidationError as failure:
        message = "\n".join(
            f"{PREFIX}{e['loc'][0]}".upper() + f": {e['msg']}, not {e['input']!r}" for e in failure.errors()
        )
    except DevstackError as failure:
        message = str(failure)
    except asyncio.CancelledError:
        return INTERRUPTED
    sys.stdout.flush()
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, style="red", markup=False)
    return 1


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    """Let the first INT or TERM cancel the work, and later ones change nothing.

    What was started is being stopped already.
    """
    task = asyncio.ensure_future(work)

    def interrupt() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    return await task


async def up(settings: DevSettings, *, services: bool, external: bool) -> int:
    """Start what is missing."""
    supervisor = Supervisor(settings.state)
    async with file_lock(settings.state / "up.lock", part_line("stack"), ALONE):
        await supervisor.up(await _parts_to_start(settings, services, external))
    return 0


async def down(settings: DevSettings, *, parts: Sequence[str] | None, wipe: bool) -> int:
    """Stop parts, and with `wipe` remove the state of all of them."""
    if wipe and parts:
        raise DevstackError("--wipe removes everything: leave out the names of parts")
    async with file_lock(settings.state / "up.lock", part_line("stack"), ALONE):
        if not await Supervisor(settings.state).down(_chosen(settings, parts)):
            print("nothing was running")
        if wipe:
            for name in ("postgres", "kafka", "minio", "spark", "logs", "run", "secrets"):
                shutil.rmtree(settings.state / name, ignore_errors=True)
            print(f"data removed from {settings.state}")
    return 0


async def restart(settings: DevSettings, *, parts: Sequence[str] | None) -> int:
    """Stop and start those that run."""
    supervisor = Supervisor(settings.state)
    async with file_lock(settings.state / "up.lock", part_line("stack"), ALONE):
        running = [part for part in _chosen(settings, parts) if supervisor.records.running(part.name)]
        await supervisor.down(running)
        await supervisor.up(running)
    return 0


async def run_command(settings: DevSettings, *, command: Sequence[str], services: bool, external: bool) -> int:
    """Up, the command, and down again with what this call started.

    The command's output stays the last thing on the screen.
    """
    supervisor = Supervisor(settings.state)
    async with file_lock(settings.state / "up.lock", part_line("stack"), ALONE):
        parts = await _parts_to_start(settings, services, external)
        started = await supervisor.up(parts)
    try:
        return await run_attached(command, {**os.environ, **client_environment(settings)})
    finally:
        await supervisor.down([part for part in parts if part.name in started], quietly=True)


async def status(settings: DevSettings) -> int:
    """The table."""
    backing = backing_parts(settings)
    found = await statuses([*backing, *service_parts(settings)], Supervisor(settings.state).records)
    Console().print(status_table(found))
    return 0 if all(one.state in ("healthy", "foreign") for one in found[: len(backing)]) else 1


async def logs(settings: DevSettings, *, parts: Sequence[str] | None, follow: bool, lines: int) -> int:
    """The end of the logs, and what is added."""
    supervisor = Supervisor(settings.state)
    paths = {part.name: supervisor.log(part.name) for part in _chosen(settings, parts)}
    for path in paths.values():
        if path.exists() or parts:
            print("\n".join([f"==> {path}", *reading.tail(path, lines)]))
    if follow:
        await reading.follow(paths, lambda part, line: part_line(part)(line))
    return 0


async def env(settings: DevSettings) -> int:
    """Exports for a shell."""
    for name, value in client_environment(settings).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


async def _parts_to_start(settings: DevSettings, services: bool, external: bool) -> list[Part]:
    backing = backing_parts(settings)
    if external:
        await require_answers(backing)
    return [*([] if external else backing), *(service_parts(settings) if services else [])]


def _chosen(settings: DevSettings, names: Sequence[str] | None) -> list[Part]:
    known = {part.name: part for part in [*backing_parts(settings), *service_parts(settings)]}
    for name in names or ():
        if name not in known:
            raise DevstackError(f"there is no part {name!r}; the parts are {', '.join(known)}")
    return [known[name] for name in names] if names else list(known.values())
