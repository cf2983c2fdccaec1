"""Somebody wants to know whether a cluster can be used before anything depends on it."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from client.rest import problem_of
from tests.e2e.environment import Environment
from tests.e2e.test_command_line import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark]


class TestClusters:
    async def test_a_cluster_is_tested_by_an_executor(
        self, api_client: httpx.AsyncClient, environment: Environment, test_cluster_id: str
    ) -> None:
        """The clusters are listed, one is tested, and the test can be looked at again.

        Success criteria:
        - the list has the cluster, with its address, in pages
        - the test says Spark's version and that the catalog of all the other stories can be used
        - the same Idempotency-Key gets the same test; a cluster that nobody knows is 404, with those that are known
        - the command line says the same, with an exit code
        """
        listed = await api_client.get("/api/v1/clusters", params={"limit": 100})
        clusters: dict[str, Any] = {each["id"]: each for each in listed.json()}
        assert int(listed.headers["X-Total-Count"]) == len(clusters)
        assert clusters[test_cluster_id]["spark_connect_url"].startswith("sc://")
        one = await api_client.get(f"/api/v1/clusters/{test_cluster_id}")
        assert one.json() == clusters[test_cluster_id]

        cluster, key = f"/api/v1/clusters/{test_cluster_id}", str(uuid4())
        path = f"{cluster}/test-connection"
        answer = await api_client.post(path, headers={"Idempotency-Key": key}, timeout=60)
        assert answer.status_code == 200, problem_of(answer)
        tested = answer.json()
        assert tested["status"] == "success", tested
        assert tested["report"]["spark_version"].startswith("4.")
        assert {"name": "test_catalog", "usable": True, "problem": None} in tested["report"]["catalogs"]
        again = await api_client.post(path, headers={"Idempotency-Key": key}, timeout=60)
        assert again.json() == tested
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (await api_client.get(f"{cluster}/connection-tests/{tested['test_id']}")).json() == tested

        unknown = await api_client.post("/api/v1/clusters/nowhere/test-connection")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_cluster")
        assert test_cluster_id in unknown.json()["hint"]

        autoloader = Terminal(environment.api_url)
        assert test_cluster_id in (await autoloader("clusters", "list")).out
        said = await autoloader("clusters", "test", test_cluster_id)
        assert said.out.startswith("success: Spark 4.")
        refused = await autoloader("clusters", "test", "nowhere", code=2)
        assert refused.err.count("\n") == 1
