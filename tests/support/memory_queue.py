"""A queue in memory that keeps the promises of ``Queue`` in ``services/scanner/ports.py``, on a clock of its own."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from libs.common.errors import AutoloaderError
from services.scanner.ports import Delivery

_AT_ONCE = 10


@dataclass
class _Message:
    body: bytes
    times: int = 0
    held_until_s: float = 0.0


class MemoryQueue:
    """``problem`` is raised by every call while it is set. Nothing is forgotten until it is deleted."""

    def __init__(self, name: str = "landing", *, now_s: Callable[[], float] | None = None) -> None:
        self.name = name
        self.problem: AutoloaderError | None = None
        self.holds: list[timedelta] = []
        self._messages: dict[str, _Message] = {}
        self._now_s = now_s or asyncio.get_running_loop().time
        self._changed = asyncio.Event()
        self._sent = 0

    def send(self, body: bytes) -> None:
        self._sent += 1
        self._messages[f"m{self._sent}"] = _Message(body)
        self._changed.set()

    @property
    def left(self) -> list[bytes]:
        return [message.body for message in self._messages.values()]

    async def receive(self, *, wait: timedelta, hold: timedelta) -> Sequence[Delivery]:
        self._check()
        found = self._hand_out(hold)
        if not found:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait.total_seconds())
            except TimeoutError:
                self._check()
            found = self._hand_out(hold)
        return found

    async def hold(self, deliveries: Sequence[Delivery], hold: timedelta) -> None:
        self._check()
        self.holds.append(hold)
        for delivery in deliveries:
            if delivery.receipt in self._messages:
                self._messages[delivery.receipt].held_until_s = self._now_s() + hold.total_seconds()
        self._changed.set()

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        self._check()
        for delivery in deliveries:
            self._messages.pop(delivery.receipt, None)

    def _hand_out(self, hold: timedelta) -> list[Delivery]:
        now_s = self._now_s()
        free = [each for each, message in self._messages.items() if message.held_until_s <= now_s][:_AT_ONCE]
        for each in free:
            self._messages[each].times += 1
            self._messages[each].held_until_s = now_s + hold.total_seconds()
        return [Delivery(each, self._messages[each].body, self._messages[each].times, each) for each in free]

    def _check(self) -> None:
        if self.problem is not None:
            raise self.problem
