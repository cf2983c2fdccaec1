"""What the scanner wants of the world outside, beside object storage and the broker."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message of a queue, handed out to us for a while. ``times`` counts how often it was handed out, to anybody;
    ``receipt`` is the right to delete it."""

    message_id: str
    body: bytes
    times: int
    receipt: str = field(repr=False)


class Queue(Protocol):
    """A queue into which a bucket puts its notifications. What is not deleted comes again.

    Every method raises:
        Permanent: codes ``queue_not_found``, ``access_denied``, ``queue_refused``: somebody has to change something.
        Temporary: code ``queue_unreachable``.
    """

    @property
    def name(self) -> str:
        """For logs and metrics."""

    async def receive(self, *, wait: timedelta, hold: timedelta) -> Sequence[Delivery]:
        """Some messages, as soon as there are any; none after ``wait``. Nobody else gets them within ``hold``."""

    async def hold(self, deliveries: Sequence[Delivery], hold: timedelta) -> None:
        """Nobody else gets them within ``hold`` from now; zero hands them back. What is gone is passed over."""

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        """They are done with. What is gone is passed over."""
