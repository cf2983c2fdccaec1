"""How the API says no, and what it says of itself."""

from collections import defaultdict
from uuid import UUID

import httpx
import pytest

from tests.e2e.described import assert_explains_itself, operations
from tests.e2e.helpers import NewIngestion, run_to_end

pytestmark = [pytest.mark.e2e, pytest.mark.requires_minio]

INGESTIONS = "/api/v1/ingestions"
NOBODY = UUID(int=7)  # well-formed, and nobody's id


class TestRefusals:
    """Every refusal has a code, a remedy and the id under which the log knows it."""

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", f"{INGESTIONS}/{NOBODY}"),
            ("PATCH", f"{INGESTIONS}/{NOBODY}"),
            ("DELETE", f"{INGESTIONS}/{NOBODY}"),
            ("POST", f"{INGESTIONS}/{NOBODY}/run"),
            ("GET", f"{INGESTIONS}/{NOBODY}/runs"),
            ("GET", f"{INGESTIONS}/{NOBODY}/runs/{NOBODY}"),
            ("GET", "/api/v1/nothing-here"),
        ],
    )
    async def test_unknown_things_are_404(self, api_client: httpx.AsyncClient, method: str, path: str) -> None:
        """What is not there is said not to be there."""
        body = {"name": "x"} if method == "PATCH" else None
        response = await api_client.request(method, path, json=body)
        assert response.status_code == 404, response.text
        assert_explains_itself(response)

    async def test_nothing_can_be_done_with_an_ingestion_that_is_not_there(self, api_client: httpx.AsyncClient) -> None:
        """Every operation that the API describes on an ingestion is 404 for one that nobody has: with a code, a remedy,
        and nothing begun."""
        ids = defaultdict(lambda: str(NOBODY), version="1")
        asked = [o for o in await operations(api_client) if o.path.startswith(f"{INGESTIONS}/{{ingestion_id}}")]
        assert len(asked) > 20, "The API describes all that it can do"
        for operation in asked:
            response = await operation.ask(api_client, ids)
            assert response.status_code == 404, f"{operation}: {response.status_code} {response.text}"
            assert_explains_itself(response)

    async def test_a_run_of_another_ingestion_is_404(
        self, api_client: httpx.AsyncClient, new_ingestion: NewIngestion
    ) -> None:
        """A run is found under its own ingestion only."""
        mine, other = [await new_ingestion("rest") for _ in range(2)]
        run = await run_to_end(api_client, mine["id"])

        response = await api_client.get(f"{INGESTIONS}/{other['id']}/runs/{run['id']}")

        assert response.status_code == 404
        assert_explains_itself(response)

    async def test_a_request_id_is_taken_over(self, api_client: httpx.AsyncClient) -> None:
        """A caller's own X-Request-ID comes back, so that both sides' logs can be laid side by side."""
        response = await api_client.get(f"{INGESTIONS}/{NOBODY}", headers={"X-Request-ID": "my-request-7"})
        assert response.json()["request_id"] == response.headers["X-Request-ID"] == "my-request-7"

    @pytest.mark.parametrize(
        "body", ["{", "[]", '"text"', "null", ""], ids=["broken", "list", "text", "null", "nothing"]
    )
    async def test_a_body_that_is_no_definition(self, api_client: httpx.AsyncClient, body: str) -> None:
        """Not JSON, or JSON of another shape: 422, never 500."""
        response = await api_client.post(INGESTIONS, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 422, response.text
        assert_explains_itself(response)


class TestOperations:
    """What a load balancer and a Prometheus ask."""

    async def test_health_names_each_dependency(self, api_client: httpx.AsyncClient) -> None:
        """Ready says how Postgres and Kafka are, each by name; live only that the process answers. At the root, where
        probes look, and beside everything else."""
        for place in ("", "/api/v1"):
            live = await api_client.get(f"{place}/health/live")
            assert (live.status_code, live.json()["status"]) == (200, "alive")

            ready = await api_client.get(f"{place}/health/ready")
            assert ready.status_code == 200, ready.text
            checks = {name: check["status"] for name, check in ready.json()["checks"].items()}
            assert checks == {"postgres": "ok", "kafka": "ok"}

    async def test_metrics_are_prometheus_text(self, api_client: httpx.AsyncClient) -> None:
        """/metrics has help, type and samples."""
        response = await api_client.get("/metrics")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain")
        assert "# HELP autoloader_" in response.text
        assert "# TYPE autoloader_" in response.text

    async def test_the_api_describes_itself(self, api_client: httpx.AsyncClient) -> None:
        """OpenAPI 3.1, with the paths of the contract."""
        described = (await api_client.get("/openapi.json")).json()
        assert described["openapi"].startswith("3.1")
        one = INGESTIONS + "/{ingestion_id}"
        assert {INGESTIONS, one, f"{one}/run", f"{one}/runs", f"{one}/runs/{{run_id}}"} <= described["paths"].keys()
