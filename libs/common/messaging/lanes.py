"""Messages that wait or run in this process, in lanes: one lane per (partition, key). No I/O.

Within a lane messages run one after another; lanes run side by side. The head of a lane is the message that is
being worked on. It survives the loss of its partition (its handler may be half-way through an effect), only its
ticket is taken away; when the same message is delivered again while its handler still runs, which happens at
each rebalance that gives a partition back, the running work is adopted instead of started a second time.
"""

from collections import deque
from collections.abc import Collection, Hashable
from dataclasses import dataclass

from libs.common.messaging.offsets import Offsets, Ticket
from libs.common.messaging.ports import Incoming, Partition

LaneKey = tuple[Partition, Hashable]


@dataclass(slots=True)
class Item:
    """A message in a lane. Without a ticket nobody waits for it any more."""

    message: Incoming
    ticket: Ticket | None


class Lanes:
    """All lanes of one consumer, and how many messages they hold."""

    def __init__(self, offsets: Offsets) -> None:
        self._offsets = offsets
        self._lanes: dict[LaneKey, deque[Item]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Messages held, waiting or running."""
        return self._count

    def accept(self, message: Incoming) -> LaneKey | None:
        """Takes a message in. Returns the key of a lane that is new and needs a worker, else None."""
        key: LaneKey = (message.source, message.key)
        ticket = self._offsets.track(message.source, message.offset)
        lane = self._lanes.get(key)
        if lane is not None and self._is_orphan(lane[0]) and lane[0].message == message:
            lane[0].ticket = ticket
            return None
        self._count += 1
        item = Item(message, ticket)
        if lane is not None:
            lane.append(item)
            return None
        self._lanes[key] = deque([item])
        return key

    def head(self, key: LaneKey) -> Item | None:
        """The message to work on. None removes the lane: its worker ends."""
        lane = self._lanes[key]
        if lane:
            return lane[0]
        del self._lanes[key]
        return None

    def finish(self, key: LaneKey, *, handled: bool) -> None:
        """The head of the lane is over. ``handled``: its effect is durable, so its offset may be passed."""
        item = self._lanes[key].popleft()
        self._count -= 1
        if handled and item.ticket is not None:
            self._offsets.finish(item.ticket)

    def is_wanted(self, item: Item) -> bool:
        """Whether somebody still waits for this message here."""
        return item.ticket is not None and self._offsets.is_valid(item.ticket)

    def forget(self, partitions: Collection[Partition]) -> None:
        """The partitions are lost: what waits is dropped, what runs may end."""
        for (partition, _), lane in self._lanes.items():
            if partition in partitions and lane:
                self._count -= len(lane) - 1
                head = lane[0]
                lane.clear()
                lane.append(head)
                head.ticket = None

    def _is_orphan(self, item: Item) -> bool:
        return not self.is_wanted(item)
