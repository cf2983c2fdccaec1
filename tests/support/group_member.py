"""``python -m tests.support.group_member BOOTSTRAP GROUP TOPIC``: takes its share of the partitions, and does no work.

It exists to be killed. What it was given must go to the others, since it commits nothing.
"""

import asyncio
import sys
from collections.abc import Collection
from datetime import timedelta

from libs.common.messaging.kafka import KafkaConsumer
from libs.common.messaging.ports import Partition


class _Silent:
    async def on_revoked(self, partitions: Collection[Partition]) -> None: ...

    def on_assigned(self, partitions: Collection[Partition]) -> None: ...


async def idle(bootstrap: str, group: str, topic: str) -> None:
    consumer = KafkaConsumer(bootstrap, group, [topic], "idle")
    await consumer.start(_Silent())
    while True:
        await consumer.poll(timedelta(seconds=1), 100)


if __name__ == "__main__":
    asyncio.run(idle(*sys.argv[1:]))
