"""Postgres goes back to an older backup, or loses its ledger (F54): nothing is loaded twice, and the table brings the
ledger back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.cases import FILES, RECORDS, RECOVERY_S, Case
from tests.support.backups import back_up, lose_ledger, restore
from tests.support.eventually import eventually
from tests.support.installation import Installation, installation

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

_NOT_IN_THE_TABLE = ("I7", "I8")
"""What a rebuild does not bring back: rows per file, and what runs told. The audit compares rows per batch."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def autoloader() -> AsyncIterator[Installation]:
    """Of this module's own: a restore takes everything back, also what other cases are about."""
    async with installation() as started:
        yield started


@pytest.mark.fault("F54", "Postgres is restored from a backup that is a run older than the table")
async def test_a_restored_backup_halts_and_is_brought_up_to_the_table(case: Case) -> None:
    """Files that the table has and the backup has not are not loaded again; those that landed since are."""
    database = case.autoloader.environment["DATABASE_URL"]
    await with_services(case)
    await case.begin()
    await case.succeeded()
    await back_up(database)
    await land(case, FILES, FILES + 2)
    await case.ask()
    await case.succeeded()
    await without_services(case)
    await restore(database)
    case.faults.inject()
    await with_services(case)
    await land(case, FILES + 2, FILES + 3)
    await halted(case, "ledger_behind_table")
    report = await rebuilt(case)
    assert (1, 2) == (report["batches_restored"], report["files_committed"])
    await loads_what_is_left(case, files=1)


@pytest.mark.fault("F54", "the ledger is wiped, and a run is asked for before anybody noticed")
async def test_a_wiped_ledger_does_not_load_the_bucket_again(case: Case) -> None:
    """Every file of the bucket looks new; not one of them becomes visible a second time."""
    await with_services(case)
    await case.begin()
    await case.succeeded()
    await without_services(case)
    await lose_ledger(case.autoloader.environment["DATABASE_URL"])
    case.faults.inject()
    await with_services(case)
    await halted(case, "ledger_behind_table")
    report = await rebuilt(case)
    assert (2, FILES) == (report["batches_restored"], report["files_committed"])
    await loads_what_is_left(case, files=0)


async def with_services(case: Case) -> None:
    await asyncio.gather(case.autoloader.start("scanner"), case.autoloader.start("executor"))


async def without_services(case: Case) -> None:
    """Who restores a database stops what writes to it. The API only reads meanwhile."""
    api, *others = case.autoloader.running
    await asyncio.gather(*(service.stop() for service in others))
    case.autoloader.running[:] = [api]


async def land(case: Case, first: int, end: int) -> None:
    for file in range(first, end):
        await case.put(case.key(file), range(file * RECORDS, (file + 1) * RECORDS))


async def halted(case: Case, code: str) -> None:
    """The next run fails before anything becomes visible, and the one after it is refused."""
    await case.ask()
    run = await case.ended()
    assert "failed" == run["status"], case.story_of(run)
    shown = (await case.autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}")).json()
    assert ("paused", code) == (shown["status"], shown["metadata"]["halt"]["code"])
    refused = await case.autoloader.client.post(f"/api/v1/ingestions/{case.ingestion_id}/run")
    assert (409, "ingestion_halted") == (refused.status_code, refused.json()["code"])


async def rebuilt(case: Case) -> dict[str, Any]:
    asked = await case.autoloader.post(f"/{case.ingestion_id}/rebuild-ledger", confirm=True)
    return await report_at(case, f"rebuilds/{asked['rebuild_id']}")


async def loads_what_is_left(case: Case, *, files: int) -> None:
    """The next run loads so many files; then the oracle and an audit have nothing to say."""
    await case.ask()
    run = await case.succeeded()
    assert files == run["metrics"]["files_processed"], case.story_of(run)
    asked = await case.autoloader.post(f"/{case.ingestion_id}/audit")
    audit = await report_at(case, f"audits/{asked['audit_id']}")
    verdict = await case.verdict()
    problems = [p for p in verdict.problems if not p.startswith(_NOT_IN_THE_TABLE)]
    if not audit["clean"]:
        problems.append(f"the audit found something: {audit}")
    case.faults.judged(replace(verdict, problems=tuple(problems)))


async def report_at(case: Case, path: str) -> dict[str, Any]:
    async def done() -> dict[str, Any] | None:
        answer = await case.autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}/{path}")
        found: dict[str, Any] = answer.json()
        return found if found["status"] in ("done", "failed") else None

    found = await eventually(done, RECOVERY_S, what=f"{path} is done")
    assert "done" == found["status"], case.story_of(found)
    report: dict[str, Any] = found["report"]
    return report
