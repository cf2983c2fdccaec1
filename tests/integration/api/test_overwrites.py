"""What the API says of files that were loaded, and then overwritten: by the policy, before anything runs."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update

from libs.common.contracts.definition import OverwritePolicy
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import BatchState, FileState, ScanState
from libs.common.ledger.tables import batch, file, replacement, scan
from libs.common.storage.definitions import RunDefinitions
from tests.integration.api.harness import INGESTIONS, START, ApiUnderTest, definition

pytestmark = pytest.mark.asyncio

EARLIER = str(UUID(int=1))
KEY = "flights/a.json"


async def ingestion_with(api: ApiUnderTest, policy: OverwritePolicy) -> str:
    """It has loaded a version of a file that was overwritten since; beside it there is one that is new."""
    source = {**definition()["source"], "allow_overwrites": policy}
    destination = {**definition()["destination"], "metadata_columns": ["_file_path"]}
    ingestion_id = str((await api.create(source=source, destination=destination))["id"])
    api.objects.create_bucket("landing")
    old = FileVersion("landing", KEY, "v1", 10, START)
    await api.ledger_has(ingestion_id, old, FileState.COMMITTED, EARLIER)
    api.objects.put("landing", KEY, b'{"id":1}\n')
    api.objects.put("landing", "flights/new.json", b'{"id":2}\n')
    return ingestion_id


@pytest.mark.parametrize(
    ("policy", "files", "replacing", "snapshots", "skipped", "refused"),
    [
        ("skip", 1, 0, 1, 1, 0),
        ("append", 2, 0, 1, 0, 0),
        ("replace", 2, 1, 2, 0, 0),
        ("fail", 1, 0, 1, 0, 1),
    ],
)
async def test_a_plan_counts_overwritten_files_as_a_run_would(
    api: ApiUnderTest, policy: OverwritePolicy, files: int, replacing: int, snapshots: int, skipped: int, refused: int
) -> None:
    """What replaces rows goes into a batch of its own."""
    ingestion_id = await ingestion_with(api, policy)
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/plan", json={})
    assert 201 == answer.status_code, answer.text
    shown = answer.json()
    assert (files, snapshots) == (shown["predicted"]["files"], shown["predicted"]["snapshots"])
    assert (replacing, skipped, refused) == tuple(
        shown[name] for name in ("files_replacing", "files_skipped", "files_refused")
    )


@pytest.mark.parametrize(("policy", "to_process"), [("skip", 1), ("append", 2), ("replace", 2), ("fail", 1)])
async def test_a_new_only_refresh_counts_those_that_its_run_will_load(
    api: ApiUnderTest, policy: OverwritePolicy, to_process: int
) -> None:
    ingestion_id = await ingestion_with(api, policy)
    answer = await api.client.post(
        f"{INGESTIONS}/{ingestion_id}/refresh/new-only", json={"confirm": True, "dry_run": True}
    )
    impact = answer.json()["impact"]
    assert (to_process, 2 - to_process) == (impact["files_to_process"], impact["files_skipped"])


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [("skip", "superseded"), ("append", "waiting"), ("replace", "waiting"), ("fail", "failed")],
)
async def test_an_explanation_follows_the_policy_of_today(
    api: ApiUnderTest, policy: OverwritePolicy, verdict: str
) -> None:
    """It may have been another one when a run saw the file."""
    ingestion_id = await ingestion_with(api, policy)
    there = api.objects.buckets["landing"][KEY]
    await api.ledger_has(ingestion_id, there, FileState.SKIPPED, EARLIER)
    told = (await api.client.get(f"{INGESTIONS}/{ingestion_id}/files/explain", params={"key": KEY})).json()
    assert verdict == told["verdict"]
    assert f"source.allow_overwrites is {policy}" in told["evidence"]
    assert {"committed", "skipped"} == {version["state"] for version in told["versions"]}
    shown = await api.client.get(f"{INGESTIONS}/{ingestion_id}/files", params={"state": "skipped"})
    assert [there.version_tag] == [version["version"] for version in shown.json()]


async def test_rows_that_name_no_file_cannot_be_replaced(api: ApiUnderTest) -> None:
    """Refused when it is asked for, at creation and later, with what to write; until it is, nothing has changed."""
    source = {**definition()["source"], "allow_overwrites": "replace"}
    answer = await api.client.post(INGESTIONS, json=definition(source=source))
    assert 422 == answer.status_code
    assert "destination.metadata_columns" in answer.text
    ingestion_id = (await api.create())["id"]
    answer = await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json={"source": {"allow_overwrites": "replace"}})
    assert 422 == answer.status_code
    both = {"source": {"allow_overwrites": "replace"}, "destination": {"metadata_columns": ["_file_path"]}}
    answer = await api.client.patch(f"{INGESTIONS}/{ingestion_id}", json=both)
    assert (200, "replace") == (answer.status_code, answer.json()["source"]["allow_overwrites"])


async def replacement_given_up(api: ApiUnderTest, ingestion_id: str, run_id: str) -> None:
    """The run's executor had no Spark: the new version's rows did not take the place of the old one's."""
    there = api.objects.buckets["landing"][KEY]
    of = {"ingestion_id": UUID(ingestion_id), "generation": 1, "run_id": UUID(run_id)}
    batch_id = uuid4()
    await api.rows(insert(scan).values(**of, state=ScanState.ENDED))
    await api.rows(
        insert(batch).values(**of, id=batch_id, state=BatchState.BURNED, file_count=1, size_bytes=1, replaces_rows=True)
    )
    await api.rows(
        insert(replacement).values(
            **of,
            batch_id=batch_id,
            key_digest=there.digest,
            version_tag=there.version_tag,
            bucket=there.bucket,
            key=there.key,
            etag=there.etag,
            size_bytes=there.size_bytes,
            last_modified=there.last_modified,
            state=FileState.DISCOVERED,
        )
    )


async def test_a_replacement_that_was_given_up_can_be_retried(api: ApiUnderTest) -> None:
    """Until another run has loaded the file."""
    ingestion_id = await ingestion_with(api, "replace")
    run_id = await api.request_run(ingestion_id)
    await api.end(ingestion_id, run_id)
    path = f"{INGESTIONS}/{ingestion_id}/runs/{run_id}/retry"
    assert "nothing_to_retry" == (await api.client.post(path)).json()["code"]
    await replacement_given_up(api, ingestion_id, run_id)
    accepted = await api.client.post(path)
    assert 202 == accepted.status_code, accepted.text
    await api.end(ingestion_id, accepted.json()["run_id"])
    [row] = await api.rows(
        update(file)
        .where(file.c.ingestion_id == UUID(ingestion_id))
        .values(version_tag="v3:1", updated_at=START.replace(year=2100))
        .returning(file.c.state)
    )
    assert FileState.COMMITTED == row.state
    assert "nothing_to_retry" == (await api.client.post(path)).json()["code"]


async def test_a_retry_of_a_reload_replaces_as_well(api: ApiUnderTest) -> None:
    """Whatever the policy says of files that a run comes across."""
    ingestion_id = await ingestion_with(api, "skip")
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/files/reload", json={"keys": [KEY]})
    run_id = answer.json()["run_id"]
    await api.end(ingestion_id, run_id)
    await replacement_given_up(api, ingestion_id, run_id)
    retried: dict[str, Any] = (await api.client.post(f"{INGESTIONS}/{ingestion_id}/runs/{run_id}/retry")).json()
    scope = (await RunDefinitions(api.database, api.box).of(UUID(retried["run_id"]))).scope
    assert (True, True, None) == (scope.again, scope.is_backfill, scope.keys)
