"""What every ``Queue`` promises."""

from datetime import timedelta

import pytest

from libs.common.errors import Permanent, Temporary
from services.scanner.notifications.sqs import SqsQueue, region_of
from tests.contract.queues.conftest import World
from tests.support.eventually import eventually
from tests.support.moto_sqs import ACCESS, REGION, MotoSqs

pytestmark = pytest.mark.contract

NOW, SECOND, MINUTE = timedelta(), timedelta(seconds=1), timedelta(seconds=60)


async def test_a_message_is_handed_out_to_one_at_a_time(world: World) -> None:
    """What it says comes as it was sent."""
    world.send("{“é”}".encode())
    [delivery] = await world.queue.receive(wait=SECOND, hold=MINUTE)
    assert ("{“é”}".encode(), 1) == (delivery.body, delivery.times)
    assert [] == list(await world.queue.receive(wait=NOW, hold=MINUTE))


async def test_what_is_deleted_is_gone(world: World) -> None:
    for number in range(3):
        world.send(b"%d" % number)
    taken = [await world.queue.receive(wait=SECOND, hold=MINUTE)]
    while sum(map(len, taken)) < 3:
        taken.append(await world.queue.receive(wait=SECOND, hold=MINUTE))
    for deliveries in taken:
        await world.queue.delete(deliveries)
        await world.queue.delete(deliveries)
    assert 0 == world.left()


async def test_what_is_handed_back_comes_again_and_counts(world: World) -> None:
    world.send(b"{}")
    first = await world.queue.receive(wait=SECOND, hold=MINUTE)
    await world.queue.hold(first, NOW)
    [again] = await world.queue.receive(wait=SECOND, hold=MINUTE)
    assert (first[0].message_id, 2) == (again.message_id, again.times)


async def test_what_is_not_deleted_comes_again_by_itself(world: World) -> None:
    world.send(b"{}")
    assert await world.queue.receive(wait=SECOND, hold=SECOND)
    [again] = await eventually(lambda: world.queue.receive(wait=SECOND, hold=MINUTE), what="it is handed out again")
    assert 2 == again.times


async def test_a_hold_can_be_extended(world: World) -> None:
    world.send(b"{}")
    held = await world.queue.receive(wait=SECOND, hold=SECOND)
    await world.queue.hold(held, MINUTE)
    assert [] == list(await world.queue.receive(wait=timedelta(seconds=2), hold=MINUTE))


async def test_what_is_gone_is_passed_over(world: World) -> None:
    world.send(b"{}")
    gone = await world.queue.receive(wait=SECOND, hold=MINUTE)
    await world.queue.delete(gone)
    await world.queue.hold(gone, MINUTE)
    await world.queue.delete([])


async def test_a_queue_that_is_not_there_is_named(moto: MotoSqs) -> None:
    queue = SqsQueue(f"{moto.url}/123456789012/nobodys", region=REGION, endpoint_url=moto.url, access=ACCESS)
    try:
        with pytest.raises(Permanent, match="nobodys does not exist") as told:
            await queue.receive(wait=NOW, hold=MINUTE)
    finally:
        await queue.close()
    assert "queue_not_found" == told.value.code


async def test_an_address_at_which_nobody_answers_may_answer_later() -> None:
    queue = SqsQueue("http://127.0.0.1:9/1/landing", region=REGION, endpoint_url="http://127.0.0.1:9", access=ACCESS)
    try:
        with pytest.raises(Temporary, match="cannot be reached") as told:
            await queue.receive(wait=NOW, hold=MINUTE)
    finally:
        await queue.close()
    assert "queue_unreachable" == told.value.code


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/landing", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/landing", "cn-north-1"),
        ("http://localhost:5000/123456789012/landing", None),
    ],
)
def test_the_region_is_read_out_of_the_address(url: str, region: str | None) -> None:
    assert region == region_of(url)
