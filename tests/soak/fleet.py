"""Service processes that are started again whenever they end, as any supervisor would do, until the soak is over.

A member may be dressed for its next start: with an armed failpoint, or with a publisher that loses or repeats messages.
One that was stopped (SIGSTOP), by us or by a failpoint, is woken up when its lease has long run out.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from tests.faults.cases import is_stopped
from tests.support.installation import LEASE_S, Installation, ServiceProcess
from tests.support.memory import resident_bytes

FROZEN_S = LEASE_S + 3
_LOOK_EVERY_S = 0.5
_PAUSE_S = 0.5
_MB = 1024 * 1024

Struck = Callable[[str], None]


@dataclass
class Member:
    """One place for a service. ``dress`` are settings of the next process alone, ``armed`` is its failpoint."""

    name: str
    kind: str
    settings: Mapping[str, str] = field(default_factory=dict)
    process: ServiceProcess | None = None
    since: float | None = None
    """When it was ready."""
    dress: dict[str, str] = field(default_factory=dict)
    armed: str | None = None
    wears: str | None = None
    """The failpoint of the process that runs."""
    is_plain: bool = True
    """It is started as anybody would start it."""
    frozen_at: float | None = None
    was_told: bool = False
    """We ended it, or asked it to end."""

    @property
    def is_up(self) -> bool:
        """It was ready, and has not ended."""
        return self.since is not None and self.process is not None and self.process.process.returncode is None

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.since if self.since is not None else 0.0

    def send(self, number: signal.Signals) -> None:
        """Does nothing if it has just ended."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.signal(number)

    def end(self, number: signal.Signals) -> None:
        self.was_told = True
        self.send(number)

    def resident_mb(self) -> float | None:
        """Resident memory; None when it does not run."""
        held = resident_bytes(self.process.process.pid) if self.process else None
        return None if held is None else held / _MB


@dataclass
class Fleet:
    """``struck`` is told of each failpoint that was met; ``troubles`` are processes that ended without being told."""

    autoloader: Installation
    struck: Struck
    members: list[Member] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    false_starts: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def begin(self) -> None:
        """Returns when all members run."""
        up = await asyncio.gather(*(self._start(member) for member in self.members if member.process is None))
        assert all(up), self.autoloader.complaints()
        self._tasks += [asyncio.create_task(self._keep(member), name=member.name) for member in self.members]
        self._tasks.append(asyncio.create_task(self._wake_up_for_ever(), name="waking"))

    async def end(self) -> None:
        """No process is started again from now on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def one(self, random: Random, *kinds: str, plain: bool = False) -> Member | None:
        """Any of these kinds (all, if none is named) that runs and is awake; ``plain``: and wears nothing yet."""
        fit = [m for m in self.members if m.is_up and m.frozen_at is None and (not kinds or m.kind in kinds)]
        if plain:
            fit = [m for m in fit if m.is_plain and not m.was_told]
        return random.choice(fit) if fit else None

    def freeze(self, member: Member) -> None:
        """SIGSTOP, until its lease has run out."""
        member.send(signal.SIGSTOP)
        member.frozen_at = time.monotonic()

    def undress(self) -> None:
        """Whoever still waits to be killed at a failpoint, or loses messages, is replaced by one that does not."""
        for member in self.members:
            member.armed = None
            member.dress.clear()
            if member.frozen_at is not None:
                member.send(signal.SIGCONT)
            if not member.is_plain:
                member.end(signal.SIGKILL)

    async def all_up(self) -> bool:
        return all(member.is_up and member.is_plain for member in self.members)

    async def _keep(self, member: Member) -> None:
        while True:
            if member.process is None and not await self._start(member):
                await asyncio.sleep(_PAUSE_S)
            elif member.process is not None:
                self._note_the_end(member, await member.process.process.wait())
                member.process = None

    async def _start(self, member: Member) -> bool:
        """Whether it runs. It may not have found its database or its broker: then it says so and ends."""
        failpoint, member.armed = member.armed, None
        dress, member.dress = member.dress, {}
        member.was_told, member.frozen_at, member.wears = False, None, failpoint
        member.is_plain = not (failpoint or dress)
        settings = {**member.settings, **dress}
        member.process = await self.autoloader.launch(member.kind, failpoint=failpoint, **settings)
        try:
            await member.process.ready()
        except AssertionError:
            self.false_starts += not member.was_told
            await member.process.stop()
            member.process = None
            return False
        member.since = time.monotonic()
        return True

    def _note_the_end(self, member: Member, code: int) -> None:
        member.since = None
        if member.was_told:
            return
        if code == -signal.SIGKILL and member.wears is not None:
            self.struck(f"{member.name} was killed at {member.wears}")
            return
        last = member.process.log[-3:] if member.process else []
        self.troubles.append(f"{member.name} ended by itself with {code}: " + " | ".join(line[:400] for line in last))

    async def _wake_up_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            for member in self.members:
                if member.process is None or not member.is_up:
                    continue
                with suppress(OSError):
                    await self._look_at(member, member.process.process.pid)

    async def _look_at(self, member: Member, pid: int) -> None:
        if not await is_stopped(pid):
            member.frozen_at = None
        elif member.frozen_at is None:
            member.frozen_at = time.monotonic()
            self.struck(f"{member.name} was frozen at {member.wears}")
        elif time.monotonic() - member.frozen_at > FROZEN_S:
            member.send(signal.SIGCONT)
