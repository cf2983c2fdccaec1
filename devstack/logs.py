"""Reading the parts' logs: the end of one, or all of them as they grow."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

POLL_S = 0.3


def tail(log: Path, lines: int) -> list[str]:
    """The last lines that are not blank; says so when there is no log or it is empty."""
    try:
        with log.open(errors="replace") as file:
            found = deque((line.rstrip() for line in file if line.strip()), maxlen=lines)
    except FileNotFoundError:
        return ["(no log yet)"]
    return list(found) or ["(nothing was written)"]


async def follow(logs: Mapping[str, Path], show: Callable[[str, str], None]) -> None:
    """Call `show(part, line)` for each line that is added, until cancelled.

    A log that starts anew is read from its start.
    """
    positions = {part: log.stat().st_size if log.exists() else 0 for part, log in logs.items()}
    while True:
        for part, log in logs.items():
            if not log.exists():
                continue
            if log.stat().st_size < positions[part]:
                positions[part] = 0
            with log.open("rb") as file:
                file.seek(positions[part])
                added = file.read()
            whole = added[: added.rfind(b"\n") + 1]  # a line still being written waits for its end
            positions[part] += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                show(part, line)
        await asyncio.sleep(POLL_S)
