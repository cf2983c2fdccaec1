"""Real services whose messages do not arrive as they were sent: ``python -m tests.faults.unruly.<service>``.

``UNRULY`` says how: ``repeat:30`` sends each message three times, at random moments of the next 30 seconds;
``drop:0.3`` loses that share of the batch messages. ``UNRULY_SEED`` makes it repeatable. Kafka itself is the real one.

Facts of a run are sent once in time, and twice more late: readers of the topic may rely on the order of the first ones.
"""

import asyncio
import os
from collections.abc import Sequence
from random import Random

from libs.common import backbone
from libs.common.contracts.topics import FILE_BATCHES, RUN_STATUS
from libs.common.logs import get_logger
from libs.common.messaging.dead_letters import SUFFIX
from libs.common.messaging.kafka import KafkaPublisher
from libs.common.messaging.ports import Outgoing

COPIES = 3
_log = get_logger(__name__)


class UnrulyPublisher(KafkaPublisher):
    """Logs ``unruly.owed`` for each copy that will come, ``unruly.delivered`` when it came, ``unruly.dropped``."""

    _how, _, _much = os.environ.get("UNRULY", "repeat:0").partition(":")
    _random = Random(os.environ.get("UNRULY_SEED"))

    async def send_many(self, messages: Sequence[Outgoing]) -> None:
        if self._how == "drop":
            await super().send_many([message for message in messages if not self._is_lost(message)])
            return
        await super().send_many([m for m in messages if m.topic.endswith((RUN_STATUS.suffix, SUFFIX))])
        for message in messages:
            if not message.topic.endswith(SUFFIX):
                for _ in range(COPIES - message.topic.endswith(RUN_STATUS.suffix)):
                    _log.info("unruly.owed")
                    _keep(asyncio.create_task(self._send_late(message)))

    def _is_lost(self, message: Outgoing) -> bool:
        lost = message.topic.endswith(FILE_BATCHES.suffix) and self._random.random() < float(self._much)
        if lost:
            _log.info("unruly.dropped", topic=message.topic, key=message.key)
        return lost

    async def _send_late(self, message: Outgoing) -> None:
        await asyncio.sleep(self._random.uniform(0, float(self._much)))
        await super().send_many([message])
        _log.info("unruly.delivered")


_TASKS: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


def be_unruly() -> None:
    """From now on this process' backbone publishes in that way."""
    backbone.KafkaPublisher = UnrulyPublisher  # type: ignore[attr-defined]
