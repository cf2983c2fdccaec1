"""Credentials go in, and come out for runs only."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from libs.common.contracts.definition import Credentials
from libs.common.storage.definitions import RunDefinitions
from tests.integration.api.harness import CREDENTIALS, INGESTIONS, WITH_CREDENTIALS, ApiUnderTest, definition

pytestmark = pytest.mark.asyncio


async def test_credentials_are_sealed_and_never_come_out(api: ApiUnderTest) -> None:
    """Not in an answer, not in clear in any table; but a run gets them."""
    created = await api.create(**WITH_CREDENTIALS)
    assert created["source"]["credentials_set"]
    assert "credentials" not in created["source"]
    assert Credentials.model_validate(CREDENTIALS) == await api.stored_credentials(created["id"])
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


async def test_put_replaces_and_keeps_the_credentials(api: ApiUnderTest) -> None:
    """What is left out gets its default, but credentials stay until they are replaced."""
    created = await api.create(**WITH_CREDENTIALS)
    path = f"{INGESTIONS}/{created['id']}"
    replaced = (await api.client.put(path, json=definition(name="New", source={"path": "s3://landing/x/"}))).json()
    assert (replaced["name"], replaced["source"]["file_pattern"], replaced["definition_version"]) == ("New", "*", 2)
    assert Credentials.model_validate(CREDENTIALS) == await api.stored_credentials(created["id"])
    other = {**CREDENTIALS, "aws_secret_access_key": "rotated"}
    await api.client.put(path, json=definition(source={"path": "s3://landing/x/", "credentials": other}))
    assert Credentials.model_validate(other) == await api.stored_credentials(created["id"])


async def test_patch_merges_and_null_removes(api: ApiUnderTest) -> None:
    """JSON merge patch, credentials included."""
    created = await api.create(**WITH_CREDENTIALS)
    path = f"{INGESTIONS}/{created['id']}"
    patched = (await api.client.patch(path, json={"source": {"max_files_per_trigger": 7}})).json()
    assert {**created["source"], "max_files_per_trigger": 7} == patched["source"]
    await api.client.patch(path, json={"source": {"credentials": {"region": "us-west-2"}}})
    expected = Credentials.model_validate({**CREDENTIALS, "region": "us-west-2"})
    assert expected == await api.stored_credentials(created["id"])
    without = (await api.client.patch(path, json={"source": {"credentials": None}})).json()
    assert not without["source"]["credentials_set"]
    assert await api.stored_credentials(created["id"]) is None
    assert without["definition_version"] == 4
    assert without["updated_at"] > created["updated_at"]
