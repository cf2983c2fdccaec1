"""Creating, reading, changing and deleting ingestions."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from libs.common.storage.control import audit, ingestion
from tests.integration.api.harness import INGESTIONS, WITH_CREDENTIALS, ApiUnderTest, definition

pytestmark = pytest.mark.asyncio


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
        "schema_evolution_mode": None,
        "rescued_data_column": None,
        "hold_new_columns": False,
    }
    assert (created["metadata"]) == {
        "last_run_id": None,
        "last_run_time": None,
        "next_run_time": None,
        "schema_version": None,
        "watermark": None,
        "halt": None,
    }
    assert created["created_at"].endswith("Z")


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
    assert await api.stored_credentials(created["id"]) is None
    assert await api.rows(select(ingestion.c.deleted_at.is_not(None)).where(ingestion.c.id == UUID(created["id"]))) == [
        (True,)
    ]


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


async def test_two_writers_of_one_table_are_warned_of(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """Each of the other, in every answer that shows them, however the table is spelt; what is gone warns of nothing,
    and another tenant's is nobody's business."""
    await neighbour.create()
    first = await api.create(name="First")
    assert [] == first["warnings"]
    shouted = {"catalog": "lake", "database": "demo", "table": "FLIGHTS"}
    second = await api.create(name="Second", destination=shouted)
    elsewhere = await api.create(name="Third", destination={**shouted, "table": "trains"})
    assert [] == elsewhere["warnings"]
    [told] = second["warnings"]
    assert first["id"] in told
    assert "in the table twice" in told

    shown = (await api.client.get(f"{INGESTIONS}/{first['id']}")).json()
    assert second["id"] in shown["warnings"][0]
    listed = {each["name"]: len(each["warnings"]) for each in (await api.client.get(INGESTIONS)).json()}
    assert {"First": 1, "Second": 1, "Third": 0} == listed
    put_back = await api.client.put(f"{INGESTIONS}/{first['id']}", json=shown)
    assert shown["warnings"] == put_back.json()["warnings"]
    moved = await api.client.patch(f"{INGESTIONS}/{second['id']}", json={"destination": {"table": "buses"}})
    assert [] == moved.json()["warnings"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_what_cannot_be_meant_is_refused_wherever_it_is_sent(api: ApiUnderTest, method: str) -> None:
    """422, all of it at once, and nothing has changed."""
    path = f"{INGESTIONS}/{(await api.create())['id']}"
    before = (await api.client.get(path)).json()
    change: dict[str, Any] = {"source": {"path": "s3://landing//x/", "file_pattern": "/*.json"}}
    answer = await api.client.request(
        method,
        INGESTIONS if method == "POST" else path,
        json=change if method == "PATCH" else definition(**change),
    )
    assert (422, "invalid_request") == (answer.status_code, answer.json()["code"])
    assert all(field in answer.json()["hint"] for field in ("source.path", "source.file_pattern"))
    assert before == (await api.client.get(path)).json()
