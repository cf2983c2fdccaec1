"""Audits and rebuilds of a ledger where records were set aside, on real services."""

import pytest

from tests.integration.reconciliation.test_audit import counts
from tests.support.backups import lose_ledger
from tests.support.landing import Landing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.requires_spark,
    pytest.mark.requires_minio,
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_the_quarantine_is_audited_and_a_lost_ledger_counts_it_again(landing: Landing) -> None:
    """Clean after the run, and after a rebuild of a ledger that was wiped; not when somebody deletes a bad record."""
    await landing.put("a.json", range(5), bad=2)
    await landing.put("b.json", range(5, 8))
    run = await landing.run()
    assert "partial" == run["status"], run["errors"]
    report = await landing.audit()
    assert report["clean"], report

    await lose_ledger(landing.autoloader.environment["DATABASE_URL"])
    await landing.rebuild()
    report = await landing.audit()
    assert report["clean"], report
    listed = await landing.autoloader.client.get(f"/api/v1/ingestions/{landing.ingestion_id}/quarantine")
    assert [(landing.uri("a.json"), 2)] == [(each["file"], each["records_quarantined"]) for each in listed.json()]

    await landing.sql(f"DELETE FROM {landing.table}__quarantine WHERE line = 6")
    report = await landing.audit()
    assert {"missing": 0, "duplicated": 0, "orphaned": 0, "miscounted": 1} == counts(report)
    assert "2 bad records in the ledger, 1 in the quarantine" in report["miscounted"]["examples"][0]["reason"]
