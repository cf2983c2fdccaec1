"""A webhook's delivery outlives the process that sends it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.api.processes import api_process
from tests.integration.api.test_process import NOWHERE
from tests.support.eventually import eventually
from tests.support.receiver import Receiver, receiver

pytestmark = pytest.mark.asyncio

WEBHOOKS = "/api/v1/webhooks"


@pytest_asyncio.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver(answers=[500, 200]) as listening:
        yield listening


async def test_a_kill_between_send_and_mark_sends_the_same_event_again(
    database_url: str, port: int, hook: Receiver
) -> None:
    """kill -9 right after the receiver has it: it comes once more, by the same id, so that the receiver knows it."""
    environment = {
        "AUTOLOADER_DATABASE_URL": database_url,
        "AUTOLOADER_KAFKA_BOOTSTRAP": NOWHERE,
        "AUTOLOADER_WEBHOOK_PRIVATE_ADDRESSES": "true",
        "AUTOLOADER_WEBHOOK_TIMEOUT_S": "1",
        "AUTOLOADER_WEBHOOK_RETRY_S": "1",
    }
    killed = {**environment, "AUTOLOADER_FAILPOINT": "webhook.after_send:2"}
    async with api_process(port, **killed) as api:
        created = (await api.client.post(WEBHOOKS, json={"url": hook.url})).json()
        pinged = (await api.client.post(f"{WEBHOOKS}/{created['id']}/ping")).json()
        await eventually(lambda: len(hook.received) == 2, 20, what="the event is taken, at the second attempt")
    async with api_process(port, **environment) as api:

        async def delivered() -> bool:
            answer = await api.client.get(f"{WEBHOOKS}/{created['id']}/deliveries/{pinged['id']}")
            return bool(answer.json()["state"] == "delivered")

        # The dead process had it for as long as an attempt may take, and some more.
        await eventually(delivered, 60, what="another process sends it")
    assert [pinged["id"]] * 3 == hook.ids()
    assert hook.received[1].body == hook.received[2].body
