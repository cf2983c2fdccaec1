"""The REST surface around runs: create, read, change, remove, list, repeat. No Spark is needed for any of it."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.belongings import assert_fit_for_clients
from tests.e2e.helpers import (
    generate_unique_table_name,
    run_to_end,
    standard_definition,
    wait_for_run_completion,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_minio]

INGESTIONS = "/api/v1/ingestions"
SECRET = "s3cr3t-not-to-be-seen"


@pytest.fixture
def definition(minio_config: dict[str, str], test_cluster_id: str) -> dict[str, Any]:
    """A body that is valid; nothing runs it, so its bucket need not exist."""
    return standard_definition(test_cluster_id, "landing", minio_config, generate_unique_table_name("rest"))


async def created(api_client: httpx.AsyncClient, definition: dict[str, Any]) -> dict[str, Any]:
    response = await api_client.post(INGESTIONS, json=definition)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


class TestIngestions:
    """Create, read, change, remove."""

    async def test_credentials_go_in_and_never_come_out(
        self, api_client: httpx.AsyncClient, definition: dict[str, Any]
    ) -> None:
        """Whoever reads an ingestion learns where files come from, not how to get at them."""
        credentials = {"aws_access_key_id": "AKIA-somebody", "aws_secret_access_key": SECRET, "region": "us-east-1"}
        definition["source"]["credentials"] = credentials
        answers = [await api_client.post(INGESTIONS, json=definition)]
        assert answers[0].status_code == 201, answers[0].text
        path = f"{INGESTIONS}/{answers[0].json()['id']}"

        answers += [
            await api_client.get(path),
            await api_client.get(INGESTIONS),
            await api_client.patch(path, json={"name": "Another name"}),
            await api_client.put(path, json={**definition, "name": "A third name"}),
            await api_client.put(path, json={**definition, "name": 7}),
        ]

        assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 422]
        for answer in answers:
            assert_fit_for_clients(answer.text, SECRET, "AKIA-somebody")

    async def test_put_replaces_and_patch_changes(
        self, api_client: httpx.AsyncClient, definition: dict[str, Any]
    ) -> None:
        """PUT takes a whole definition, PATCH only what differs; both answer with the ingestion as it is now."""
        path = f"{INGESTIONS}/{(await created(api_client, definition))['id']}"

        patched = await api_client.patch(path, json={"source": {"file_pattern": "*.ndjson"}})
        assert patched.status_code == 200, patched.text
        assert patched.json()["source"]["file_pattern"] == "*.ndjson"
        assert patched.json()["source"]["path"] == definition["source"]["path"], "What was not mentioned stays"
        assert patched.json()["name"] == definition["name"]

        replaced = await api_client.put(path, json={**definition, "name": "Replaced"})
        assert replaced.status_code == 200, replaced.text
        assert replaced.json()["name"] == "Replaced"
        assert replaced.json()["source"]["file_pattern"] == "*.json"
        assert (await api_client.get(path)).json() == replaced.json()

    async def test_delete_removes_the_ingestion(
        self, api_client: httpx.AsyncClient, definition: dict[str, Any]
    ) -> None:
        """204 without a body; afterwards it is unknown, also to its runs and to a second DELETE."""
        path = f"{INGESTIONS}/{(await created(api_client, definition))['id']}"

        deleted = await api_client.delete(path)

        assert deleted.status_code == 204
        assert deleted.content == b""
        for response in (
            await api_client.get(path),
            await api_client.delete(path),
            await api_client.post(f"{path}/run"),
            await api_client.get(f"{path}/runs"),
        ):
            assert response.status_code == 404, f"{response.request.method} {response.request.url}: {response.text}"


class TestLists:
    """Newest first, page by page."""

    async def test_pages_cover_the_list_without_overlap(
        self, api_client: httpx.AsyncClient, definition: dict[str, Any]
    ) -> None:
        """Somebody walks through the history of runs with a page size of 2.

        Success criteria:
        - X-Total-Count is the length of the whole list, Link leads from page to page
        - the pages together are the list, newest first
        """
        definition["source"]["path"] = "s3://there-is-no-such-bucket-3f1a/data/"
        ingestion = await created(api_client, definition)
        runs = [(await run_to_end(api_client, ingestion["id"], "failed", timeout_s=60))["id"] for _ in range(3)]

        first = await api_client.get(f"{INGESTIONS}/{ingestion['id']}/runs", params={"limit": 2})
        assert first.headers["X-Total-Count"] == "3"
        assert first.links["next"]["url"], first.headers
        second = await api_client.get(first.links["next"]["url"])

        assert [run["id"] for run in first.json() + second.json()] == runs[::-1]
        assert "next" not in second.links
        assert (await api_client.get(second.links["prev"]["url"])).json() == first.json()
        assert (await api_client.get(second.links["first"]["url"])).json() == first.json()

    @pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "many"}, {"offset": -1}])
    async def test_a_page_that_cannot_be(self, api_client: httpx.AsyncClient, query: dict[str, Any]) -> None:
        """A limit beyond 1 to 100 or a negative offset is refused, naming the parameter."""
        response = await api_client.get(INGESTIONS, params=query)
        assert response.status_code == 422
        assert next(iter(query)) in response.text

    async def test_a_new_ingestion_is_first(self, api_client: httpx.AsyncClient, definition: dict[str, Any]) -> None:
        """The list of ingestions starts with the newest (others may be created meanwhile, by other tests)."""
        older = await created(api_client, definition)
        newer = await created(api_client, {**definition, "name": "Newer"})
        listed = [i["id"] for i in (await api_client.get(INGESTIONS, params={"limit": 100})).json()]
        assert listed.index(newer["id"]) < listed.index(older["id"])


class TestIdempotency:
    """A POST may be repeated when its answer was lost."""

    async def test_the_same_request_has_one_effect(
        self, api_client: httpx.AsyncClient, definition: dict[str, Any]
    ) -> None:
        """Same key and body: the first answer again, and one ingestion. Same key, other body: 422."""
        key = {"Idempotency-Key": f"e2e-{uuid4()}"}

        first = await api_client.post(INGESTIONS, json=definition, headers=key)
        again = await api_client.post(INGESTIONS, json=definition, headers=key)
        other = await api_client.post(INGESTIONS, json={**definition, "name": "Other"}, headers=key)

        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        assert other.status_code == 422
        assert other.json()["code"] == "idempotency_key_reused"
        assert "Idempotency-Key" in other.text

    async def test_a_run_that_is_asked_for_twice_runs_once(
        self, api_client: httpx.AsyncClient, definition: dict[str, Any]
    ) -> None:
        """The same key gets the same run, also when that run is over; it says that it said so before."""
        definition["source"]["path"] = "s3://there-is-no-such-bucket-3f1a/data/"
        path = f"{INGESTIONS}/{(await created(api_client, definition))['id']}"
        key = {"Idempotency-Key": f"e2e-{uuid4()}"}

        first = await api_client.post(f"{path}/run", headers=key)
        await wait_for_run_completion(
            api_client, path.rsplit("/", 1)[-1], first.json()["run_id"], 60, 0.2, expected_status="failed"
        )
        again = await api_client.post(f"{path}/run", headers=key)

        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert (await api_client.get(f"{path}/runs")).headers["X-Total-Count"] == "1"
