"""Bringing parts up, each as soon as what it needs is there, and down again in the opposite order.

The promise of `up`: when it fails or is interrupted, what it started is stopped and what ran before still runs.
The promise of `down`: it ends processes that a record of this state folder names, and no other.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from devstack.console import part_line
from devstack.errors import DevstackError, StartFailed
from devstack.logs import tail
from devstack.part import Part
from devstack.ports import require_free
from devstack.processes import end, lives, spawn
from devstack.records import Records
from devstack.together import together

POLL_S = 0.1
TAIL_LINES = 8


class Supervisor:
    """The parts of one state folder."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.records = Records(state / "run")

    def log(self, part: str) -> Path:
        """Where the part's output goes."""
        return self._state / "logs" / f"{part}.log"

    async def up(self, parts: Sequence[Part]) -> list[str]:
        """Bring all of them up, in parallel as far as needs allow; the names of those that were not up already."""
        for part in parts:
            if not self.records.running(part.name):
                require_free(part)  # of all parts, before anything is downloaded or started
        healthy = {part.name: asyncio.Event() for part in parts}
        started: list[Part] = []

        async def one(part: Part) -> None:
            await part.fetch(part_line(part.name))
            for need in part.needs:
                if need in healthy:
                    await healthy[need].wait()
            await self._bring_up(part, started)
            healthy[part.name].set()

        try:
            await together(*(one(part) for part in parts))
        except BaseException:
            await self.down(started)
            raise
        return [part.name for part in started]

    async def down(self, parts: Sequence[Part], *, quietly: bool = False) -> list[str]:
        """End them, those that need others first; the names of those that ran."""
        ended: list[str] = []

        async def one(part: Part) -> None:
            if await end(part, self.records):
                ended.append(part.name)
                if not quietly:
                    part_line(part.name)("stopped")

        for wave in stop_order(parts):
            await together(*(one(part) for part in wave))
        return ended

    async def _bring_up(self, part: Part, started: list[Part]) -> None:
        say = part_line(part.name)
        began_at = monotonic()
        process = self.records.running(part.name)
        record = self.records.read(part.name)
        if process and record and record.version != part.version:
            say(f"is {record.version}, now wanted is {part.version}: restarting")
            await end(part, self.records)
            process = None
        if process is not None:
            await self._wait_until_healthy(part, lambda: lives(process))
            await part.finish(say)
            say(f"already healthy (pid {process.pid})")
            return
        require_free(part)
        await part.prepare(say)
        launch = await part.launch()
        started.append(part)  # before the spawn: an interruption right after it must stop the process too
        child = spawn(part, launch, self.log(part.name), self.records)
        await self._wait_until_healthy(part, lambda: child.poll() is None)
        await part.finish(say)
        say(f"healthy after {monotonic() - began_at:.1f} s (pid {child.pid})")

    async def _wait_until_healthy(self, part: Part, runs: Callable[[], bool]) -> None:
        give_up_at = monotonic() + part.start_deadline_s
        while not await part.check():
            if not runs():
                raise StartFailed(self._start_message(part, "ended while starting"))
            if monotonic() > give_up_at:
                raise StartFailed(self._start_message(part, f"was not healthy after {part.start_deadline_s:.0f} s"))
            await asyncio.sleep(POLL_S)

    def _start_message(self, part: Part, what: str) -> str:
        log = self.log(part.name)
        return "\n    ".join([f"{part.name} {what}; the end of {log}:", *tail(log, TAIL_LINES)])


async def require_answers(parts: Sequence[Part]) -> None:
    """For parts that somebody else runs (containers, say): raise for the first that does not answer."""
    for part in parts:
        if not await part.check():
            ports = ", ".join(str(port.number) for port in part.ports)
            raise DevstackError(
                f"{part.name} does not answer on port {ports}: start it, or leave out --external to have it started"
            )
        part_line(part.name)("answers, run by somebody else")


def stop_order(parts: Sequence[Part]) -> list[list[Part]]:
    """Waves: a part is in a later wave than every part that needs it."""
    remaining = list(parts)
    waves: list[list[Part]] = []
    while remaining:
        needed = {need for part in remaining for need in part.needs}
        wave = [part for part in remaining if part.name not in needed]
        if not wave:
            raise ValueError(f"parts need each other in a circle: {', '.join(part.name for part in remaining)}")
        waves.append(wave)
        remaining = [part for part in remaining if part not in wave]
    return waves
