"""How much memory processes hold while something happens: their resident sets, as the kernel tells them (Linux)."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_EVERY_S = 0.5


def resident_bytes(pid: int) -> int | None:
    """The resident set of a process; None when it does not run."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return None


@dataclass
class Growth:
    """By name: what the processes held at first, and at most since."""

    first_bytes: dict[str, int]
    most_bytes: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> int:
        """By how many bytes it grew."""
        return self.most_bytes[name] - self.first_bytes[name]


@asynccontextmanager
async def growth(pids: Mapping[str, int]) -> AsyncIterator[Growth]:
    """Watches processes for the length of the block."""

    def now() -> dict[str, int]:
        return {name: resident_bytes(pid) or 0 for name, pid in pids.items()}

    seen = Growth(await asyncio.to_thread(now))

    async def watch() -> None:
        while True:
            for name, held in (await asyncio.to_thread(now)).items():
                seen.most_bytes[name] = max(held, seen.most_bytes.get(name, held))
            await asyncio.sleep(_EVERY_S)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
