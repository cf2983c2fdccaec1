"""What is shown to whom, page by page, and how odd paths and words are answered."""

import pytest

from tests.integration.api.harness import INGESTIONS, ApiUnderTest, definition

pytestmark = pytest.mark.asyncio


async def test_tenants_do_not_see_each_other(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """What is another tenant's is unknown, whatever one does with it."""
    created = await api.create()
    run_id = await api.request_run(created["id"])
    path = f"{INGESTIONS}/{created['id']}"
    for request in (
        neighbour.client.get(path),
        neighbour.client.put(path, json=definition()),
        neighbour.client.patch(path, json={"name": "mine"}),
        neighbour.client.delete(path),
        neighbour.client.post(f"{path}/run"),
        neighbour.client.get(f"{path}/runs"),
        neighbour.client.get(f"{path}/runs/{run_id}"),
    ):
        assert (await request).status_code == 404
    assert (await neighbour.client.get(INGESTIONS)).json() == []
    assert (await api.client.get(path)).json()["name"] == "Flights"


async def test_pages_are_the_list_newest_first(api: ApiUnderTest) -> None:
    """Following Link shows each ingestion once; X-Total-Count is their number."""
    created = [(await api.create(name=f"n{i}"))["id"] for i in range(5)]
    seen: list[str] = []
    url: str | None = f"{INGESTIONS}?limit=2"
    while url:
        answer = await api.client.get(url)
        assert answer.headers["X-Total-Count"] == "5"
        seen += [each["id"] for each in answer.json()]
        url = answer.links.get("next", {}).get("url")
    assert created[::-1] == seen


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "offset=-1", "offset=99999999999999999999", "limit=x"])
async def test_a_page_that_cannot_be_is_refused(api: ApiUnderTest, query: str) -> None:
    """422, naming the parameter."""
    answer = await api.client.get(f"{INGESTIONS}?{query}")
    assert answer.status_code == 422
    assert query.split("=", maxsplit=1)[0] in answer.json()["detail"][0]["loc"]


@pytest.mark.parametrize("name", ["a\x00b", "\ud800"])
async def test_text_that_postgres_cannot_hold_is_a_422(api: ApiUnderTest, name: str) -> None:
    """Not a 500."""
    body = definition(name="?")
    content = (
        str(body)
        .replace("'", '"')
        .replace('"?"', '"' + name.encode("unicode_escape").decode().replace("\\x", "\\u00") + '"')
    )
    answer = await api.client.post(INGESTIONS, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", "name"]


async def test_a_malformed_id_is_told_so(api: ApiUnderTest) -> None:
    """422 says which part of the path is no id."""
    answer = await api.client.get(f"{INGESTIONS}/not-an-id")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["path", "ingestion_id"]
    assert "UUID" in answer.json()["hint"]


async def test_clusters_are_listed_without_their_tokens(api: ApiUnderTest) -> None:
    """``GET /clusters`` is what ``cluster_id`` may be."""
    listed = await api.client.get("/api/v1/clusters")
    assert listed.json() == [
        {"id": "big", "spark_connect_url": "sc://big:15002"},
        {"id": "local", "spark_connect_url": "sc://localhost:15002"},
    ]
    assert listed.json()[1] == (await api.client.get("/api/v1/clusters/local")).json()
    assert (await api.client.get("/api/v1/clusters/nowhere")).status_code == 404
