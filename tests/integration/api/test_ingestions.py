"""Creating, reading, changing and deleting ingestions."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from libs.common.contracts.definition import Credentials
from libs.common.storage.control import audit, ingestion, secret
from libs.common.storage.definitions import RunDefinitions, open_credentials
from tests.integration.api.harness import CREDENTIALS, INGESTIONS, ApiUnderTest, definition

pytestmark = pytest.mark.asyncio

WITH_CREDENTIALS = {"source": {**definition()["source"], "credentials": CREDENTIALS}}


async def stored_credentials(api: ApiUnderTest, ingestion_id: str) -> Credentials | None:
    rows = await api.rows(select(secret.c.sealed).where(secret.c.ingestion_id == UUID(ingestion_id)))
    return open_credentials(api.box, UUID(ingestion_id), rows[0].sealed if rows else None)


async def test_a_new_ingestion_is_a_draft_with_everything_said_back(api: ApiUnderTest) -> None:
    """201, the address, the defaults filled in, and where it would run."""
    answer = await api.client.post(INGESTIONS, json=definition())
    created = answer.json()
    assert answer.status_code == 201
    assert f"{INGESTIONS}/{created['id']}" == answer.headers["Location"]
    assert created == (await api.client.get(answer.headers["Location"])).json()
    assert created["status"] == "draft"
    assert api.tenant_id == created["tenant_id"]
    assert created["created_by"] == "tester"
    assert created["spark_connect_url"] == "sc://localhost:15002"
    assert (created["format"]["schema"]) == {
        "inference": "auto",
        "evolution_enabled": True,
        "schema_json": None,
        "hints": {},
    }
    assert (created["metadata"]) == {
        "last_run_id": None,
        "last_run_time": None,
        "next_run_time": None,
        "schema_version": None,
    }
    assert created["created_at"].endswith("Z")


async def test_credentials_are_sealed_and_never_come_out(api: ApiUnderTest) -> None:
    """Not in an answer, not in clear in any table; but a run gets them."""
    created = await api.create(**WITH_CREDENTIALS)
    assert created["source"]["credentials_set"]
    assert "credentials" not in created["source"]
    assert Credentials.model_validate(CREDENTIALS) == await stored_credentials(api, created["id"])
    run_id = await api.request_run(created["id"])
    for answer in (
        await api.client.get(f"{INGESTIONS}/{created['id']}"),
        await api.client.get(INGESTIONS),
        await api.client.get(f"{INGESTIONS}/{created['id']}/runs/{run_id}"),
    ):
        assert "topsecret" not in answer.text
        assert "AKIA-id" not in answer.text
    for table in ("ingestion", "secret", "run", "audit", "outbox", "idempotency"):
        found = text(f"SELECT count(*) FROM control.{table} t WHERE t::text LIKE '%topsecret%'")
        assert await api.rows(found) == [(0,)]
    given = await RunDefinitions(api.database, api.box).of(UUID(run_id))
    assert Credentials.model_validate(CREDENTIALS) == given.credentials


@pytest.mark.parametrize(
    "broken",
    [
        {"source": {**definition()["source"], "credentials": {**CREDENTIALS, "region": 7}}},
        {"source": {**definition()["source"], "credentials": {**CREDENTIALS, "aws_secret": "topsecret"}}},
        {"source": {**definition()["source"], "credentials": "topsecret"}},
        {"source": {"path": "s3://AKIA:topsecret@landing/"}},
        {"source": {**definition()["source"], "credentials": {"aws_secret_access_key": "topsecret"}}},
    ],
)
async def test_a_refusal_repeats_no_secret(api: ApiUnderTest, broken: dict[str, Any]) -> None:
    """POST, PUT and PATCH say where the mistake is, and not what was sent."""
    path = f"{INGESTIONS}/{(await api.create())['id']}"
    for answer in (
        await api.client.post(INGESTIONS, json=definition(**broken)),
        await api.client.put(path, json=definition(**broken)),
        await api.client.patch(path, json=broken),
    ):
        assert answer.status_code == 422
        assert "source" in answer.json()["detail"][0]["loc"]
        assert "topsecret" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_an_unknown_cluster_is_refused_with_the_known_ones(api: ApiUnderTest, method: str) -> None:
    """422, and nothing changed."""
    created = await api.create()
    path = INGESTIONS if method == "POST" else f"{INGESTIONS}/{created['id']}"
    body = {"cluster_id": "nowhere"} if method == "PATCH" else definition(cluster_id="nowhere")
    answer = await api.client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_cluster")
    assert "big, local" in answer.json()["hint"]
    assert [created] == (await api.client.get(INGESTIONS)).json()


async def test_put_replaces_and_keeps_the_credentials(api: ApiUnderTest) -> None:
    """What is left out gets its default, but credentials stay until they are replaced."""
    created = await api.create(**WITH_CREDENTIALS)
    path = f"{INGESTIONS}/{created['id']}"
    replaced = (await api.client.put(path, json=definition(name="New", source={"path": "s3://landing/x/"}))).json()
    assert (replaced["name"], replaced["source"]["file_pattern"], replaced["definition_version"]) == ("New", "*", 2)
    assert Credentials.model_validate(CREDENTIALS) == await stored_credentials(api, created["id"])
    other = {**CREDENTIALS, "aws_secret_access_key": "rotated"}
    await api.client.put(path, json=definition(source={"path": "s3://landing/x/", "credentials": other}))
    assert Credentials.model_validate(other) == await stored_credentials(api, created["id"])


async def test_patch_merges_and_null_removes(api: ApiUnderTest) -> None:
    """JSON merge patch, credentials included."""
    created = await api.create(**WITH_CREDENTIALS)
    path = f"{INGESTIONS}/{created['id']}"
    patched = (await api.client.patch(path, json={"source": {"max_files_per_trigger": 7}})).json()
    assert {**created["source"], "max_files_per_trigger": 7} == patched["source"]
    await api.client.patch(path, json={"source": {"credentials": {"region": "us-west-2"}}})
    expected = Credentials.model_validate({**CREDENTIALS, "region": "us-west-2"})
    assert expected == await stored_credentials(api, created["id"])
    without = (await api.client.patch(path, json={"source": {"credentials": None}})).json()
    assert not without["source"]["credentials_set"]
    assert await stored_credentials(api, created["id"]) is None
    assert without["definition_version"] == 4
    assert without["updated_at"] > created["updated_at"]


async def test_what_get_returned_can_be_put_back(api: ApiUnderTest) -> None:
    """Read, change a little, write: the usual way to change something."""
    created = await api.create(**WITH_CREDENTIALS)
    path = f"{INGESTIONS}/{created['id']}"
    answer = await api.client.put(path, json={**created, "name": "Changed"})
    assert answer.status_code == 200, answer.text
    assert {**created, "name": "Changed", "definition_version": 2, "updated_at": None} == {
        **answer.json(),
        "updated_at": None,
    }


async def test_source_and_table_are_fixed_by_the_first_run(api: ApiUnderTest) -> None:
    """Before it they may change; afterwards 409 says what to do, and nothing changed."""
    created = await api.create()
    path = f"{INGESTIONS}/{created['id']}"
    moved = await api.client.patch(path, json={"source": {"path": "s3://other/data/"}})
    assert moved.status_code == 200
    await api.request_run(created["id"])
    before = (await api.client.get(path)).json()
    table = {**definition()["destination"], "table": "other"}
    for answer in (
        await api.client.patch(path, json={"source": {"path": "s3://landing/"}}),
        await api.client.put(path, json=definition(source={"path": "s3://other/data/"}, destination=table)),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "identity_fixed")
        assert "new ingestion" in answer.json()["hint"]
    assert before == (await api.client.get(path)).json()
    assert (await api.client.patch(path, json={"name": "Still possible"})).status_code == 200


async def test_delete_forgets_the_ingestion_and_its_secret(api: ApiUnderTest) -> None:
    """204; then it is unknown everywhere. Its row stays for the ledger, its credentials do not."""
    created = await api.create(**WITH_CREDENTIALS)
    path = f"{INGESTIONS}/{created['id']}"
    assert ((answer := await api.client.delete(path)).status_code, answer.content) == (204, b"")
    for request in (
        api.client.get(path),
        api.client.delete(path),
        api.client.put(path, json=definition()),
        api.client.patch(path, json={"name": "x"}),
        api.client.post(f"{path}/run"),
        api.client.get(f"{path}/runs"),
    ):
        assert (await request).status_code == 404
    assert (await api.client.get(INGESTIONS)).json() == []
    assert await stored_credentials(api, created["id"]) is None
    assert await api.rows(select(ingestion.c.deleted_at.is_not(None)).where(ingestion.c.id == UUID(created["id"]))) == [
        (True,)
    ]


async def test_delete_waits_for_the_run(api: ApiUnderTest) -> None:
    """409 names the run; once it has ended, the ingestion can go."""
    created = await api.create()
    path = f"{INGESTIONS}/{created['id']}"
    run_id = await api.request_run(created["id"])
    refused = await api.client.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "run_active")
    assert run_id in refused.json()["detail"]
    await api.end(created["id"], run_id)
    assert (await api.client.delete(path)).status_code == 204


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


async def test_a_repeated_post_creates_one_ingestion(api: ApiUnderTest) -> None:
    """Same key and body: the first answer again. Another body: 422. Without a key: another one."""
    key = {"Idempotency-Key": uuid4().hex}
    first = await api.client.post(INGESTIONS, json=definition(**WITH_CREDENTIALS), headers=key)
    again = await api.client.post(INGESTIONS, json=definition(**WITH_CREDENTIALS), headers=key)
    other = await api.client.post(INGESTIONS, json=definition(name="Other"), headers=key)
    assert (201, first.json()) == (again.status_code, again.json())
    assert first.headers["Location"] == again.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await api.client.get(INGESTIONS)).headers["X-Total-Count"] == "1"


async def test_a_key_belongs_to_its_tenant(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """Others may use the same word."""
    key = {"Idempotency-Key": uuid4().hex}
    mine = await api.client.post(INGESTIONS, json=definition(), headers=key)
    theirs = await neighbour.client.post(INGESTIONS, json=definition(), headers=key)
    assert mine.json()["id"] != theirs.json()["id"]


async def test_equal_requests_at_once_create_one_ingestion(api: ApiUnderTest) -> None:
    """A client that retries too early does no harm."""
    key = {"Idempotency-Key": uuid4().hex}
    answers = await asyncio.gather(*(api.client.post(INGESTIONS, json=definition(), headers=key) for _ in range(8)))
    assert {201} == {answer.status_code for answer in answers}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await api.client.get(INGESTIONS)).headers["X-Total-Count"] == "1"


async def test_a_refused_request_uses_up_no_key(api: ApiUnderTest) -> None:
    """It left nothing behind, so the corrected one may take the same key."""
    key = {"Idempotency-Key": uuid4().hex}
    refused = await api.client.post(INGESTIONS, json=definition(cluster_id="nowhere"), headers=key)
    corrected = await api.client.post(INGESTIONS, json=definition(), headers=key)
    assert (refused.status_code, corrected.status_code) == (422, 201)


async def test_changes_at_once_are_all_counted(api: ApiUnderTest) -> None:
    """Each PATCH sees the one before it: no change is lost."""
    created = await api.create()
    path = f"{INGESTIONS}/{created['id']}"
    patches: list[dict[str, Any]] = [
        {"name": "Renamed"}, {"source": {"file_pattern": "*.x"}}, {"source": {"max_files_per_trigger": 3}}
    ]  # fmt: skip
    await asyncio.gather(*(api.client.patch(path, json=patch) for patch in patches))
    after = (await api.client.get(path)).json()
    assert (
        after["name"],
        after["source"]["file_pattern"],
        after["source"]["max_files_per_trigger"],
        after["definition_version"],
    ) == ("Renamed", "*.x", 3, 4)


async def test_changes_leave_a_trail(api: ApiUnderTest) -> None:
    """Who did what to which ingestion, in order."""
    created = await api.create()
    path = f"{INGESTIONS}/{created['id']}"
    await api.client.patch(path, json={"name": "x"})
    await api.end(created["id"], await api.request_run(created["id"]))
    await api.client.delete(path)
    query = select(audit).where(audit.c.subject_id == UUID(created["id"])).order_by(audit.c.id)
    trail = await api.rows(query)
    assert [(row.action, row.destructive) for row in trail] == [
        ("ingestion.created", False),
        ("ingestion.updated", False),
        ("run.requested", False),
        ("ingestion.deleted", True),
    ]
    assert {("tester", api.tenant_id)} == {(row.actor, row.tenant_id) for row in trail}


async def test_clusters_are_listed_without_their_tokens(api: ApiUnderTest) -> None:
    """``GET /clusters`` is what ``cluster_id`` may be."""
    listed = await api.client.get("/api/v1/clusters")
    assert listed.json() == [
        {"id": "big", "spark_connect_url": "sc://big:15002"},
        {"id": "local", "spark_connect_url": "sc://localhost:15002"},
    ]
    assert listed.json()[1] == (await api.client.get("/api/v1/clusters/local")).json()
    assert (await api.client.get("/api/v1/clusters/nowhere")).status_code == 404
