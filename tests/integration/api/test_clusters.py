"""Connection tests over REST: asked for, told, and not told in time. The executor's word is written by the test."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from libs.common.contracts.codec import decode
from libs.common.contracts.events import CheckCluster, Problem
from libs.common.contracts.reports import CatalogSeen, ClusterReport
from libs.common.ledger.cluster_checks import ClusterChecks
from libs.common.storage.control import cluster_check, outbox
from tests.integration.api.harness import START, ApiUnderTest
from tests.support.eventually import eventually

pytestmark = pytest.mark.asyncio

CLUSTERS = "/api/v1/clusters"
REPORT = ClusterReport(
    spark_version="4.1.1",
    connect_ms=210,
    statement_ms=48,
    catalogs=(CatalogSeen(name="lake", usable=True), CatalogSeen(name="old", usable=False, problem="gone")),
)
PROBLEM = Problem(error_type="spark_unreachable", message="Spark Connect cannot be reached", hint="start the cluster")


async def asked(api: ApiUnderTest) -> list[CheckCluster]:
    """What this tenant's outbox holds for executors."""
    ours = {row.id for row in await api.rows(select(cluster_check).where(cluster_check.c.tenant_id == api.tenant_id))}
    values = [decode(row.value).message for row in await api.rows(select(outbox.c.value).order_by(outbox.c.id))]
    return [m for m in values if isinstance(m, CheckCluster) and m.request_id in ours]


async def test_clusters_are_listed_in_pages(api: ApiUnderTest) -> None:
    """By name; addresses come without their tokens."""
    answer = await api.client.get(CLUSTERS, params={"limit": 1})
    assert ([{"id": "big", "spark_connect_url": "sc://big:15002"}], "2") == (
        answer.json(), answer.headers["X-Total-Count"]
    )  # fmt: skip
    assert 'rel="next"' in answer.headers["Link"]
    assert "local" == (await api.client.get(f"{CLUSTERS}/local")).json()["id"]


@pytest.mark.parametrize(("word", "status"), [(REPORT, "success"), (PROBLEM, "failed")])
async def test_the_answer_waits_for_the_executors_word(
    api: ApiUnderTest, word: ClusterReport | Problem, status: str
) -> None:
    """And says it; whoever asks for the same test later hears the same."""

    async def executor() -> None:
        [command] = await eventually(lambda: asked(api), 5, what="an executor is asked")
        await ClusterChecks(api.database, owner="e").tell(command.request_id, word)

    answer, _ = await asyncio.gather(api.client.post(f"{CLUSTERS}/local/test-connection"), executor())
    body = answer.json()
    assert (200, status, None) == (answer.status_code, body["status"], body["ask_again"])
    assert ("1 of 2 catalogs" in body["message"]) is (status == "success")
    assert body == (await api.client.get(f"{CLUSTERS}/local/connection-tests/{body['test_id']}")).json()


async def test_without_a_word_it_is_pending_and_says_where_to_ask(api: ApiUnderTest) -> None:
    """Never a guess. The first word stays, whoever says another one later."""
    answer = await api.client.post(f"{CLUSTERS}/local/test-connection")
    body = answer.json()
    assert (202, "pending", body["ask_again"]) == (answer.status_code, body["status"], answer.headers["Location"])
    checks = ClusterChecks(api.database, owner="e")
    assert "local" == await checks.cluster_of(UUID(body["test_id"]))
    await checks.tell(UUID(body["test_id"]), PROBLEM)
    await checks.tell(UUID(body["test_id"]), REPORT)
    later = (await api.client.get(body["ask_again"])).json()
    assert ("failed", "spark_unreachable") == (later["status"], later["problem"]["error_type"])
    assert await checks.cluster_of(UUID(body["test_id"])) is None


async def test_the_same_key_asks_once(api: ApiUnderTest) -> None:
    """And gets the same test, as it stands then; for another cluster the key is refused."""
    headers = {"Idempotency-Key": "once"}
    first, again = [await api.client.post(f"{CLUSTERS}/local/test-connection", headers=headers) for _ in range(2)]
    assert first.json()["test_id"] == again.json()["test_id"]
    assert 1 == len(await asked(api))
    other = await api.client.post(f"{CLUSTERS}/big/test-connection", headers=headers)
    assert (422, "idempotency_key_reused") == (other.status_code, other.json()["code"])


async def test_unknown_clusters_and_other_tenants_tests_are_not_found(
    api: ApiUnderTest, neighbour: ApiUnderTest
) -> None:
    """404, with what is known."""
    unknown = await api.client.post(f"{CLUSTERS}/nowhere/test-connection")
    assert (404, "unknown_cluster") == (unknown.status_code, unknown.json()["code"])
    theirs = (await neighbour.client.post(f"{CLUSTERS}/local/test-connection")).json()["ask_again"]
    hidden = await api.client.get(theirs)
    assert (404, "unknown_connection_test") == (hidden.status_code, hidden.json()["code"])


async def test_what_nobody_looked_at_is_found_and_what_is_old_is_forgotten(api: ApiUnderTest) -> None:
    """The message may be lost; and nothing is kept for ever."""
    test_id = UUID((await api.client.post(f"{CLUSTERS}/local/test-connection")).json()["test_id"])
    checks = ClusterChecks(api.database, owner="e")
    assert test_id in await checks.waiting(asked_before=timedelta(0), limit=100)
    assert test_id not in await checks.waiting(asked_before=timedelta(hours=1), limit=100)
    await checks.tell(test_id, REPORT)
    assert test_id not in await checks.waiting(asked_before=timedelta(0), limit=100)
    await api.sweeper.forget_old()
    assert 200 == (await api.client.get(f"{CLUSTERS}/local/connection-tests/{test_id}")).status_code
    await api.rows(update(cluster_check).where(cluster_check.c.id == test_id).values(created_at=START))
    await api.sweeper.forget_old()
    assert 404 == (await api.client.get(f"{CLUSTERS}/local/connection-tests/{test_id}")).status_code
