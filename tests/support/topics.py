"""Topics of a test's own on the real broker, deleted afterwards."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from libs.common.contracts.topics import CATALOGUE
from libs.common.errors import Temporary
from libs.common.messaging.kafka import ping


def kafka_bootstrap() -> str:
    return os.environ.get("AUTOLOADER_KAFKA_BOOTSTRAP", "localhost:9092")


@asynccontextmanager
async def own_topics() -> AsyncIterator[str]:
    """A topic prefix that nobody else uses; its topics are deleted afterwards."""
    try:
        await ping(kafka_bootstrap())
    except Temporary as error:
        pytest.fail(f"{error.message}; start the local stack with: make up")
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    try:
        yield prefix
    finally:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap())
        await admin.start()
        try:
            names = {name for topic in CATALOGUE for name in (topic.name(prefix), topic.dead_letter_name(prefix))}
            present = names & set(await admin.list_topics())
            if present:
                await admin.delete_topics(sorted(present))
        finally:
            await admin.close()
