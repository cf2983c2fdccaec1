"""Audits through REST and the command line, on real services."""

import asyncio
import json
import sys
from typing import Any

import pytest

from tests.support.installation import ROOT
from tests.support.landing import Landing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.requires_spark,
    pytest.mark.requires_minio,
    pytest.mark.asyncio(loop_scope="module"),
]


async def autoloader_audit(landing: Landing, *options: str) -> tuple[int, str]:
    """The command's exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "client.cli",
        "audit",
        landing.ingestion_id,
        "--api",
        str(landing.autoloader.client.base_url),
        *options,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {kind: report[kind]["count"] for kind in ("missing", "duplicated", "orphaned", "miscounted")}


async def test_what_was_loaded_is_found_clean(landing: Landing) -> None:
    """Three files in two batches: bucket, ledger and table count alike, and the command ends with 0."""
    for number in range(3):
        await landing.put(f"{number}.json", range(10 * number, 10 * number + 10))
    await landing.run()
    report = await landing.audit()
    assert report["clean"], report
    assert {"batches": None, "files": 3, "rows": None} == report["sides"]["bucket"]
    assert {"batches": 2, "files": 3, "rows": 30} == report["sides"]["ledger"] == report["sides"]["table"]
    code, printed = await autoloader_audit(landing)
    assert (0, True) == (code, "agree" in printed), printed


async def test_a_file_that_was_not_loaded_yet_is_missing(landing: Landing) -> None:
    """It landed after the last run. The command ends with 1, and its JSON is the report."""
    await landing.put("a.json", [1])
    await landing.run()
    await landing.put("b.json", [2])
    code, printed = await autoloader_audit(landing, "--json")
    report = json.loads(printed)
    assert (1, False) == (code, report["clean"])
    assert {"missing": 1, "duplicated": 0, "orphaned": 0, "miscounted": 0} == counts(report)
    assert landing.uri("b.json") == report["missing"]["examples"][0]["name"]


async def test_a_table_that_was_rolled_back_misses_its_rows(landing: Landing) -> None:
    """The ledger has a batch that the table's ancestry lacks."""
    await landing.put("a.json", [1])
    await landing.run()
    [first] = await landing.sql(f"SELECT snapshot_id FROM {landing.table}.refs WHERE name = 'main'")
    await landing.put("b.json", [2])
    await landing.run()
    await landing.sql(
        f"CALL test_catalog.system.rollback_to_snapshot('landing.{landing.name}', {first['snapshot_id']})"
    )
    report = await landing.audit()
    assert {"missing": 1, "duplicated": 0, "orphaned": 1, "miscounted": 0} == counts(report)
    assert landing.uri("b.json") == report["missing"]["examples"][0]["name"]


async def test_an_audit_that_cannot_be_told_says_why(landing: Landing) -> None:
    """The bucket does not exist: exit code 2, and the reason with its remedy."""
    answer = await landing.autoloader.client.patch(
        f"/api/v1/ingestions/{landing.ingestion_id}", json={"source": {"path": "s3://no-such-bucket-anywhere/x/"}}
    )
    assert answer.is_success, answer.text
    code, printed = await autoloader_audit(landing)
    assert (2, True) == (code, "no-such-bucket-anywhere" in printed), printed
