"""Connection tests through the real services: what an executor says of clusters that work, are away, or are none."""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.eventually import eventually
from tests.support.installation import Installation, installation

pytestmark = [
    pytest.mark.integration,
    pytest.mark.requires_spark,
    pytest.mark.requires_minio,
    pytest.mark.asyncio(loop_scope="module"),
]

CLUSTERS = {
    "local": os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002"),
    "away": "sc://localhost:1/;token=topsecret",
    "no spark": os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000").replace("http:", "sc:"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    """Its API gives up soon, so that a test can see it give up; there is no executor yet."""
    settings = {"AUTOLOADER_CLUSTERS": json.dumps(CLUSTERS), "AUTOLOADER_CLUSTER_TEST_WAIT_S": "1"}
    async with installation(settings=settings) as started:
        yield started


async def word_on(autoloader: Installation, cluster_id: str) -> dict[str, Any]:
    """What an executor says, however long it takes."""
    answer = await autoloader.client.post(f"/api/v1/clusters/{cluster_id}/test-connection")
    assert answer.status_code in (200, 202), answer.text

    async def word() -> dict[str, Any] | None:
        path = f"/api/v1/clusters/{cluster_id}/connection-tests/{answer.json()['test_id']}"
        test: dict[str, Any] = (await autoloader.client.get(path)).json()
        return test if test["status"] != "pending" else None

    told: dict[str, Any] = await eventually(word, 90, what=f"an executor says something of {cluster_id}")
    return told


async def test_a_test_waits_for_an_executor_that_starts_later(autoloader: Installation) -> None:
    """Until then it is pending. Then: version, times, and catalogs."""
    asked = await autoloader.client.post("/api/v1/clusters/local/test-connection")
    assert (202, "pending") == (asked.status_code, asked.json()["status"])
    await autoloader.start("executor")

    async def told() -> Any:
        test = (await autoloader.client.get(asked.json()["ask_again"])).json()
        return test if test["status"] != "pending" else None

    test = await eventually(told, 90, what="the executor finds the test")
    assert ("success", None) == (test["status"], test["problem"])
    report = test["report"]
    assert report["spark_version"].startswith("4.")
    assert min(report["connect_ms"], report["statement_ms"]) >= 0
    catalogs = {catalog["name"]: catalog["usable"] for catalog in report["catalogs"]}
    assert (True, True) == (catalogs["test_catalog"], catalogs["spark_catalog"])


async def test_a_cluster_that_is_away_is_told_with_a_remedy(autoloader: Installation) -> None:
    """Within seconds, and without its token."""
    test = await word_on(autoloader, "away")
    assert ("failed", "spark_unreachable") == (test["status"], test["problem"]["error_type"])
    assert "start the cluster" in test["problem"]["hint"]
    assert "topsecret" not in json.dumps(test)


async def test_something_that_is_no_spark_is_told_with_what_it_said(autoloader: Installation) -> None:
    """There is a port that listens; it does not speak Spark Connect."""
    test = await word_on(autoloader, "no spark")
    assert ("failed", "spark_unreachable") == (test["status"], test["problem"]["error_type"])
    assert "cannot be reached: " in test["problem"]["message"]
    assert "is it a Spark Connect server" in test["problem"]["hint"]
