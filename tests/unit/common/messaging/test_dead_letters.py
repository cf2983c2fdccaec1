"""Dead letters carry their origin, and too many of them stop the consumer."""

from datetime import UTC, datetime

import pytest

from libs.common.errors import Permanent
from libs.common.messaging.dead_letters import DeadLetterLimit, DeadLetters
from libs.common.messaging.ports import Incoming
from tests.support.memory_broker import MemoryBroker

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def counted(limit: DeadLetterLimit, *, good: int = 0, dead: int = 0) -> DeadLetterLimit:
    for _ in range(good):
        limit.count(set_aside=False)
    for _ in range(dead):
        limit.count(set_aside=True)
    return limit


@pytest.mark.parametrize(
    ("good", "dead", "exceeded"),
    [
        (0, 0, False),
        (0, 5, False),  # a handful of poison in a quiet topic proves nothing
        (0, 6, True),
        (50, 10, False),  # a sixth of the traffic
        (20, 10, True),  # a third
        (0, 1000, True),
    ],
)
def test_the_limit_is_a_share_of_traffic(good: int, dead: int, exceeded: bool) -> None:
    """Above the allowance and above a quarter of the latest messages."""
    limit = counted(DeadLetterLimit(share=0.25, window=100, allowance=5), good=good, dead=dead)
    assert exceeded == limit.exceeded


def test_old_trouble_is_forgotten() -> None:
    """The window moves on."""
    limit = counted(DeadLetterLimit(share=0.25, window=100, allowance=5), dead=50)
    counted(limit, good=100)
    assert not limit.exceeded


async def test_a_dead_letter_says_where_it_came_from_and_why() -> None:
    """Everything that is needed to look into it, and the message itself."""
    broker = MemoryBroker()
    broker.create_topic("t.dlq", 1)
    letters = DeadLetters(broker.publisher(), clock=lambda: NOON)
    await letters.set_aside(Incoming("t", 2, 7, b"k", b"junk", {}), code="undecodable", reason="not\nJSON", attempt=1)
    [record] = broker.records("t.dlq")
    assert (b"k", b"junk") == (record.key, record.value)
    assert {
        "origin-topic": b"t",
        "origin-partition": b"2",
        "origin-offset": b"7",
        "code": b"undecodable",
        "reason": b"not JSON",
        "attempt": b"1",
        "time": b"2026-01-01T12:00:00+00:00",
    } == record.headers


async def test_a_message_that_is_too_large_for_a_dead_letter_is_cut() -> None:
    """Its beginning is kept, and its size."""
    broker = MemoryBroker()
    broker.create_topic("t.dlq", 1)
    letters = DeadLetters(broker.publisher())
    await letters.set_aside(Incoming("t", 0, 0, None, b"x" * 2**21, {}), code="c", reason="r", attempt=1)
    [record] = broker.records("t.dlq")
    assert 2**19 < len(record.value) < 2**20
    assert b"2097152" == record.headers["value-bytes"]


async def test_past_the_limit_nothing_is_set_aside() -> None:
    """The consumer is told to stop, with the remedy."""
    broker = MemoryBroker()
    broker.create_topic("t.dlq", 1)
    letters = DeadLetters(broker.publisher(), limit=counted(DeadLetterLimit(allowance=0), dead=1))
    with pytest.raises(Permanent, match="1 of the last 1 messages on t could not be handled") as raised:
        await letters.set_aside(Incoming("t", 0, 0, None, b"x", {}), code="c", reason="r", attempt=1)
    assert "too_many_dead_letters" == raised.value.code
    assert [] == broker.records("t.dlq")
