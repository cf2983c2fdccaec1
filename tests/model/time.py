"""An event loop whose time is made up: nobody ever waits, the clock jumps to the next thing that is due."""

import asyncio
import selectors


class _NeverWaits(selectors.SelectSelector):
    """Nothing outside the loop can wake it, so a wait for the next timer may as well be over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nobody for a time")
        self.now += max(timeout, 0)
        return []


class StoryLoop(asyncio.SelectorEventLoop):
    """``asyncio.sleep`` in it costs nothing, and a story takes the same course each time it is told."""

    def __init__(self) -> None:
        self._waits = _NeverWaits()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.now
