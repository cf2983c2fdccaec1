"""Columns are filled from what was rescued, with executors that are really killed around the one commit."""

import asyncio
from typing import Any

import pytest

from tests.faults.cases import Case
from tests.faults.test_backup import report_at
from tests.faults.test_refresh import judge

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

RESCUES = {"inference": "manual", "schema_json": "id bigint", "schema_evolution_mode": "rescue"}
ADDS = {"inference": "auto", "schema_json": None, "schema_evolution_mode": "add_new_columns"}


def at(point: str, number: str) -> Any:
    words = f"an executor is killed at {point}"
    return pytest.param(point, marks=pytest.mark.fault(number, words, quick=True), id=point)


@pytest.mark.parametrize("point", [at("fill.before_publish", "F11"), at("fill.after_publish", "F13")])
async def test_a_fill_that_was_killed_is_done_once_and_told_whole(case: Case, point: str) -> None:
    """kill -9 at the point; the next executor finds out whether it happened. The report counts every row once, and
    ledger and table agree as before."""
    case.schema = RESCUES
    victim, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=point), case.autoloader.start("scanner")
    )
    await case.begin(files=2)
    await case.succeeded()
    rows = len(case.expected)
    changed = {"format": {"schema": {**ADDS, "rescued_data_column": "_rescued_data"}}}
    assert (await case.autoloader.client.patch(f"/api/v1/ingestions/{case.ingestion_id}", json=changed)).is_success
    await case.land(2)
    await case.ask()
    await case.succeeded()

    fill_id = (await case.autoloader.post(f"/{case.ingestion_id}/schema/fill", columns=["text"]))["fill_id"]
    struck = await case.killed(victim)
    await case.autoloader.start("executor")
    report = await report_at(case, f"schema/fills/{fill_id}")
    case.faults.recovered(struck)
    assert {"rows_changed": rows, "columns": [{"column": "text", "filled": rows, "unfit": 0}]} == report
    await case.sql(f"REFRESH TABLE {case.table}")
    left = "text <> concat('row ', id) OR text IS NULL OR _rescued_data IS NOT NULL"
    assert [] == await case.sql(f"SELECT * FROM {case.table} WHERE {left}")
    await judge(case)
    audit = await case.autoloader.post(f"/{case.ingestion_id}/audit")
    assert (await report_at(case, f"audits/{audit['audit_id']}"))["clean"]
