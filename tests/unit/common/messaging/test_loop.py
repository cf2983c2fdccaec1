"""The consumer loop: order, concurrency, offsets and retries, on the memory broker."""

import asyncio
import json
from datetime import timedelta

import pytest

from libs.common.contracts.events import FileBatchPlanned, RunRequested
from libs.common.errors import Fenced, Permanent, Temporary
from libs.common.messaging.dead_letters import DeadLetterLimit
from libs.common.messaging.outcome import BUG_ATTEMPTS
from tests.support.eventually import eventually
from tests.unit.common.messaging.world import TOPIC, World


def away() -> Temporary:
    return Temporary("Postgres is away", code="database_unavailable")


async def test_messages_of_one_key_are_handled_one_after_another(world: World) -> None:
    """However many slots are free."""
    world.hold(1)
    await world.send(1, 2, 3)
    world.loop(concurrency=8)
    await eventually(lambda: world.began)
    world.release(1)
    await eventually(lambda: [1, 2, 3] == world.ended)
    assert 1 == world.most_at_once


async def test_different_keys_are_handled_side_by_side_up_to_the_limit(world: World) -> None:
    """Two at once, the third waits for a slot."""
    world.hold(1, 2, 3)
    for number in (1, 2, 3):
        await world.send(number, key=str(number))
    world.loop(concurrency=2)
    await eventually(lambda: {1, 2} == set(world.began))
    world.release(2)
    await eventually(lambda: {1, 2, 3} == set(world.began))
    assert 2 == world.most_at_once


async def test_offsets_move_after_the_effect_and_over_the_finished_prefix_only(world: World) -> None:
    """What ran out of order is committed once the gap closes."""
    world.hold(1)
    await world.send(1, key="a")
    await world.send(2, key="b")
    world.loop()
    await eventually(lambda: [2] == world.ended)
    assert {} == world.committed()
    world.release(1)
    await eventually(lambda: {0: 2} == world.committed())


async def test_a_restart_goes_on_after_what_was_committed(world: World) -> None:
    """Nothing is lost, and nothing finished is repeated after a clean stop."""
    await world.send(1, 2)
    loop, _ = world.loop()
    await eventually(lambda: [1, 2] == world.ended)
    await world.stop(loop)
    await world.send(3)
    world.loop()
    await eventually(lambda: [1, 2, 3] == world.ended)


async def test_an_outage_is_retried_for_ever_in_place(world: World) -> None:
    """It must not divert the topic to its dead letters, nor be overtaken within its key."""
    world.errors[1] = [away() for _ in range(50)]
    await world.send(1, 2)
    world.loop()
    await eventually(lambda: [1, 2] == world.ended)
    assert 51 == world.began.count(1)
    assert [] == world.broker.records(f"{TOPIC}.dlq")


async def test_a_pause_between_attempts_leaves_its_slot_to_others(world: World) -> None:
    """One source that is away must not hold up the rest, even with a single slot."""
    world.errors[1] = [away() for _ in range(3)]
    await world.send(1, key="a")
    await world.send(2, key="b")
    world.loop(concurrency=1, random=None)
    await eventually(lambda: [2] == world.ended, 0.15)
    await eventually(lambda: [2, 1] == world.ended, 5)


async def test_a_refused_message_is_set_aside_and_the_partition_goes_on(world: World) -> None:
    """With the reason's code."""
    world.errors[1] = [Permanent("no such bucket", code="bucket_not_found")]
    await world.send(1, 2)
    world.loop()
    await eventually(lambda: {0: 2} == world.committed())
    [letter] = world.broker.records(f"{TOPIC}.dlq")
    assert (b"bucket_not_found", b"no such bucket", b"0") == tuple(
        letter.headers[name] for name in ("code", "reason", "origin-offset")
    )
    assert [2] == world.ended


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"\xff not json", b"undecodable"),
        (b"[]", b"undecodable"),
        (json.dumps({"specversion": "1.0", "type": "run.vanished.v1"}).encode(), b"unknown_type"),
        (json.dumps({"specversion": "1.0", "type": "run.requested.v99"}).encode(), b"unknown_type"),
        (json.dumps({"specversion": "1.0", "type": "run.requested.v1", "data": {}}).encode(), b"invalid_data"),
        (b"", b"undecodable"),
    ],
)
async def test_poison_is_set_aside_unread(world: World, value: bytes, code: bytes) -> None:
    """Not JSON, not an event, unknown type or version, wrong schema: the partition goes on (F23)."""
    await world.send_raw(value)
    await world.send(1)
    world.loop()
    await eventually(lambda: [1] == world.ended)
    [letter] = world.broker.records(f"{TOPIC}.dlq")
    assert (value, code) == (letter.value, letter.headers["code"])


async def test_a_known_message_without_a_handler_is_passed_over(world: World) -> None:
    """A consumer may subscribe to some messages of a topic."""
    await world.send(1)
    world.loop(handlers={RunRequested: world.handle})
    await eventually(lambda: {0: 1} == world.committed())
    assert [] == world.began
    assert [] == world.broker.records(f"{TOPIC}.dlq")


async def test_a_fenced_handler_is_done(world: World) -> None:
    """Somebody else owns the work: nothing is left to do here."""
    world.errors[1] = [Fenced("batch 7")]
    await world.send(1)
    world.loop()
    await eventually(lambda: {0: 1} == world.committed())
    assert [1] == world.began


async def test_a_bug_is_tried_a_few_times_and_then_set_aside(world: World) -> None:
    """It may be a race; if not, it must not stop the partition."""
    world.errors[1] = [KeyError("oops") for _ in range(99)]
    await world.send(1, 2)
    world.loop()
    await eventually(lambda: [2] == world.ended)
    assert BUG_ATTEMPTS == world.began.count(1)
    [letter] = world.broker.records(f"{TOPIC}.dlq")
    assert (b"bug", str(BUG_ATTEMPTS).encode()) == (letter.headers["code"], letter.headers["attempt"])


async def test_a_cancellation_that_escapes_a_handler_is_a_bug_and_not_the_end(world: World) -> None:
    """Libraries do that; the worker must survive it."""
    world.errors[1] = [asyncio.CancelledError()]
    await world.send(1, 2)
    world.loop()
    await eventually(lambda: [1, 2] == world.ended)


async def test_a_dead_letter_that_cannot_be_sent_is_not_lost(world: World) -> None:
    """Its topic is missing: the message stays uncommitted until it can be kept."""
    world.broker.delete_topic(f"{TOPIC}.dlq")
    await world.send_raw(b"junk")
    world.loop()
    await world.send(1)
    await asyncio.sleep(0)
    assert {} == world.committed()
    world.broker.create_topic(f"{TOPIC}.dlq", 1)
    await eventually(lambda: {0: 2} == world.committed())
    assert 1 == len(world.broker.records(f"{TOPIC}.dlq"))


async def test_too_many_dead_letters_stop_the_consumer(world: World) -> None:
    """A bad release must not divert the topic. What was not set aside is read again after the restart."""
    for number in range(20):
        await world.send_raw(b"junk", key=str(number))
    loop, _ = world.loop(concurrency=1, limit=DeadLetterLimit(allowance=4))
    with pytest.raises(Permanent) as raised:
        await asyncio.wait_for(world.task(loop), 5)
    assert "too_many_dead_letters" == raised.value.code
    assert 5 == len(world.broker.records(f"{TOPIC}.dlq"))
    assert {0: 5} == world.committed()


async def test_a_full_pipeline_pauses_and_keeps_polling(world: World) -> None:
    """So that a long write does not cost the membership; afterwards all goes on."""
    world.hold(0)
    await world.send(*range(30))
    _, consumer = world.loop(waiting_max=4)
    await eventually(lambda: consumer.paused)
    assert 4 == max(consumer.positions.values())
    world.release(0)
    await eventually(lambda: list(range(30)) == world.ended)
    assert not consumer.paused


async def test_stop_lets_the_running_handler_end_and_begins_nothing_new(world: World) -> None:
    """What was waiting is read again by the next process."""
    world.hold(1)
    await world.send(1, 2)
    loop, _ = world.loop()
    await eventually(lambda: [1] == world.began)
    loop.request_stop()
    loop.request_stop()
    world.release(1)
    await asyncio.wait_for(world.task(loop), 5)
    assert [1] == world.ended == world.began
    assert {0: 1} == world.committed()


async def test_stop_cancels_a_handler_past_its_deadline(world: World) -> None:
    """Its message is not committed, so it comes again."""
    world.hold(1)
    await world.send(1)
    loop, _ = world.loop(stop_deadline=timedelta(milliseconds=20))
    await eventually(lambda: [1] == world.began)
    await world.stop(loop)
    assert ([], {}) == (world.ended, world.committed())


async def test_stop_ends_a_pause_between_attempts_at_once(world: World) -> None:
    """Nobody waits for a back-off of 30 seconds."""
    world.errors[1] = [away() for _ in range(99)]
    await world.send(1)
    loop, _ = world.loop(random=None)
    await eventually(lambda: world.began.count(1) >= 2)
    await world.stop(loop)
    assert {} == world.committed()


async def test_a_cancelled_loop_takes_its_handlers_with_it(world: World) -> None:
    """The service's last resort."""
    world.hold(1)
    await world.send(1)
    loop, _ = world.loop()
    await eventually(lambda: [1] == world.began)
    world.task(loop).cancel()
    await asyncio.wait((world.task(loop),), timeout=5)
    assert world.task(loop).cancelled()
    assert 0 == world._running.total()


async def test_an_absent_broker_is_waited_for(world: World) -> None:
    """And the loop says what it waits for."""
    world.broker.away = True
    loop, _ = world.loop()
    await eventually(lambda: loop.problem)
    assert "the broker is away" == loop.problem
    world.broker.away = False
    await world.send(1)
    await eventually(lambda: [1] == world.ended)
    assert loop.problem is None


async def test_another_decoder_serves_topics_that_are_not_ours(world: World) -> None:
    """Bucket notifications are no CloudEvents."""
    from libs.common.contracts.codec import Envelope
    from libs.common.ids import new_event_id
    from tests.unit.common.messaging.world import NOW, planned

    def decode(raw: bytes) -> Envelope:
        return Envelope(new_event_id(), "bucket", NOW, planned(int(raw)))

    await world.send_raw(b"42")
    world.loop(decode=decode, handlers={FileBatchPlanned: world.handle})
    await eventually(lambda: [42] == world.ended)
