"""Asking for files to be loaded again, over REST."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from libs.common.contracts.scope import Scope
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.storage.definitions import RunDefinitions
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, definition

pytestmark = pytest.mark.asyncio

EARLIER = str(UUID(int=1))
KEY = "flights/a.json"
WITH_FILE_COLUMN = {"destination": {**definition()["destination"], "metadata_columns": ["_file_path"]}}


async def reload(api: ApiUnderTest, ingestion_id: str, **which: Any) -> httpx.Response:
    return await api.client.post(f"{INGESTIONS}/{ingestion_id}/files/reload", json=which)


async def with_a_loaded_file(api: ApiUnderTest, **changes: Any) -> str:
    ingestion_id = str((await api.create(**changes))["id"])
    loaded = FileVersion("landing", KEY, "v1", 10, START)
    await api.ledger_has(ingestion_id, loaded, FileState.COMMITTED, EARLIER)
    return ingestion_id


@pytest.mark.parametrize(
    ("which", "scope"),
    [
        ({"keys": [f"s3://landing/{KEY}", KEY]}, Scope(keys=(KEY,), again=True, is_backfill=True)),
        ({"prefix": "flights/"}, Scope(prefix="flights/", again=True, is_backfill=True)),
        ({"failed": True}, Scope(failed=True, again=True, is_backfill=True)),
    ],
)
async def test_a_reload_is_a_run_beside_the_others(api: ApiUnderTest, which: dict[str, Any], scope: Scope) -> None:
    """In the lane of backfills: what is new does not wait for it."""
    ingestion_id = await with_a_loaded_file(api, **WITH_FILE_COLUMN)
    await api.request_run(ingestion_id)
    answer = await reload(api, ingestion_id, **which)
    assert 202 == answer.status_code, answer.text
    accepted = answer.json()
    assert not accepted["queued"]
    assert f"{INGESTIONS}/{ingestion_id}/runs/{accepted['run_id']}" == answer.headers["Location"]
    assert scope == (await RunDefinitions(api.database, api.box).of(UUID(accepted["run_id"]))).scope


@pytest.mark.parametrize("which", [{"keys": [KEY]}, {"prefix": "flights/"}])
async def test_rows_that_do_not_name_their_file_cannot_be_replaced(api: ApiUnderTest, which: dict[str, Any]) -> None:
    """It is said at once, with the way there. What is not loaded needs no column."""
    ingestion_id = await with_a_loaded_file(api)
    answer = await reload(api, ingestion_id, **which)
    assert (409, "file_column_missing") == (answer.status_code, answer.json()["code"])
    assert "_file_path" in answer.json()["hint"]
    assert 202 == (await reload(api, ingestion_id, failed=True)).status_code
    other = (await api.create())["id"]
    assert 202 == (await reload(api, other, **which)).status_code


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ({}, "one of keys, prefix and failed"),
        ({"keys": [KEY], "failed": True}, "one of keys, prefix and failed"),
        ({"failed": False}, "failed"),
        ({"keys": []}, "keys"),
        ({"prefix": "elsewhere/"}, "prefix_outside_source"),
        ({"keys": ["s3://other/a"]}, "key_outside_source"),
    ],
)
async def test_a_reload_of_nobody_knows_what_is_refused(api: ApiUnderTest, which: dict[str, Any], told: str) -> None:
    answer = await reload(api, (await api.create())["id"], **which)
    assert 422 == answer.status_code
    assert told in answer.text
