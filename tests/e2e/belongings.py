"""What one test created through the API, and how it is taken away again: ingestions by REST, tables through Spark."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import get_table_identifier

CATALOGS = ("test_catalog", "lake")
"""The catalogs that exist; a story about an unknown catalog leaves no table behind."""

# Python's, and the JVM's as text and inside JSON.
_SIGNS_OF_A_STACK_TRACE = (
    "Traceback (most recent call last)",
    'File "/',
    "\n\tat ",
    "\\n\\tat ",
    "at org.apache.",
    "at java.base",
    "JVM stacktrace",
)


class Broom:
    """One Spark session per worker that drops tables. Opened by the first test that has one to drop."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _spark(self) -> SparkSession:
        return SparkSession.builder.remote(self._url).appName("E2E-Test-Cleanup").create()  # type: ignore[no-any-return]

    def drop(self, table: str) -> None:
        self._spark.sql(f"DROP TABLE IF EXISTS {table} PURGE").collect()

    def stop(self) -> None:
        if "_spark" in self.__dict__:
            self._spark.stop()


@dataclass
class Belongings:
    """Filled by looking at the API's answers, so that a test cannot forget to register something."""

    tables: dict[str, str] = field(default_factory=dict)
    """Table by id of the ingestion that writes it."""

    async def notice(self, response: httpx.Response) -> None:
        request = response.request
        if request.method == "POST" and request.url.path == "/api/v1/ingestions" and response.status_code == 201:
            await response.aread()
            self.remember(response.json())

    def remember(self, ingestion: dict[str, Any]) -> None:
        self.tables[ingestion["id"]] = get_table_identifier(ingestion)

    async def remove(self, api: httpx.AsyncClient, broom: Broom) -> None:
        for ingestion_id in self.tables:
            await _delete_when_idle(api, ingestion_id)
        for table in set(self.tables.values()):
            if table.split(".")[0] in CATALOGS:
                await asyncio.to_thread(broom.drop, table)


async def _delete_when_idle(api: httpx.AsyncClient, ingestion_id: str, timeout_s: float = 60) -> None:
    """Deletes the ingestion, and waits until what a failed test left under way is burned."""
    deadline = time.monotonic() + timeout_s
    while True:
        response = await api.delete(f"/api/v1/ingestions/{ingestion_id}")
        if response.status_code in (204, 404):
            return
        if response.status_code not in (202, 409) or time.monotonic() > deadline:
            pytest.fail(f"ingestion {ingestion_id} could not be removed: {response.status_code} {response.text}")
        await asyncio.sleep(0.25)


def assert_fit_for_clients(text: str, *secrets: str) -> None:
    """Asserts that ``text`` shows a client neither a stack trace nor a secret."""
    for sign in _SIGNS_OF_A_STACK_TRACE:
        assert sign not in text, f"A stack trace reached a client ({sign!r}): {text[:2000]}"
    for secret in secrets:
        assert json.dumps(secret)[1:-1] not in text, f"A secret reached a client: {text[:2000]}"
