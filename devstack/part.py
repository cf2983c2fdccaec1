"""What a part of the stack is: a process with ports, a way to start, a way to tell that it is healthy, and its needs.

The life of a part during `up`: fetch (downloads, needs nobody) → wait for what it needs → prepare (folders, formats) →
launch → check until healthy → finish (what can only be done once it answers: databases, buckets). `fetch`, `prepare`
and `finish` run again on data that is already there, so each must be harmless when repeated.
"""

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devstack.commands import Say
from devstack.users import User


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port that the part listens on."""

    number: int
    variable: str
    """The environment variable that chooses another."""


@dataclass(frozen=True, slots=True)
class Launch:
    """The process itself."""

    command: tuple[str | Path, ...]
    environment: Mapping[str, str]
    """All of it: a part inherits nothing by accident."""
    directory: Path
    user: User | None = None
    """Somebody else to run it as."""


async def nothing(_: Say) -> None:
    """A step that this part does not have."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack."""

    name: str
    version: str
    launch: Callable[[], Awaitable[Launch]]
    check: Callable[[], Awaitable[bool]]
    """Whether it does its work now; never raises for "not yet"."""
    ports: tuple[Port, ...] = ()
    needs: tuple[str, ...] = ()
    """Parts that must be healthy before this one starts, and are stopped after it."""
    fetch: Callable[[Say], Awaitable[None]] = field(default=nothing)
    prepare: Callable[[Say], Awaitable[None]] = field(default=nothing)
    finish: Callable[[Say], Awaitable[None]] = field(default=nothing)
    stop_signal: signal.Signals = signal.SIGTERM
    start_deadline_s: float = 90.0
    stop_deadline_s: float = 20.0
