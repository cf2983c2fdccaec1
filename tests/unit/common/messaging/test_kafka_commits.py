"""The loop commits by the clock, a rebalance commits before it hands partitions on, and both may do so at once."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from libs.common.messaging.kafka.consumer import KafkaConsumer
from libs.common.messaging.ports import Partition
from tests.support.eventually import eventually


class SlowBroker:
    """Stands for aiokafka's consumer: each commit takes until it is let go."""

    def __init__(self) -> None:
        self.asked: list[Mapping[Any, int]] = []
        self.go_on = asyncio.Semaphore(0)

    async def commit(self, offsets: Mapping[Any, int]) -> None:
        self.asked.append(offsets)
        await self.go_on.acquire()

    def was_asked(self, times: int) -> Callable[[], bool]:
        return lambda: times == len(self.asked)


async def test_commits_at_the_same_moment_go_one_after_another() -> None:
    """One that broke in a rebalance left the loop with partitions that were somebody else's: from then on no commit of
    this member succeeded."""
    broker = SlowBroker()
    consumer = KafkaConsumer("nowhere:1", "g", ["t"], "c")
    consumer._consumer = broker
    commits = [asyncio.create_task(consumer.commit({Partition("t", n): 1})) for n in range(3)]
    for times in (1, 2, 3):
        await eventually(broker.was_asked(times))
        broker.go_on.release()
    await asyncio.gather(*commits)
    assert [0, 1, 2] == [tp.partition for offsets in broker.asked for tp in offsets]
