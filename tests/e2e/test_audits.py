"""Bucket, ledger and table held against each other over REST, and the ledger's way back."""

import asyncio
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    NewIngestion,
    get_table_identifier,
    run_to_end,
    upload_json_files,
    verify_table_data,
)
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

RECORDS = 20


async def finished(api_client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """The report that a request's ``Location`` leads to."""
    assert answer.status_code == 202, problem_of(answer)

    async def done() -> Any:
        found = (await api_client.get(answer.headers["Location"])).json()
        return found if found["status"] in ("done", "failed") else None

    found: dict[str, Any] = await eventually(done, 60, what="the executor's report")
    assert found["status"] == "done", found
    report: dict[str, Any] = found["report"]
    return report


class TestAudits:
    async def test_what_is_missing_is_named_and_a_rebuild_finds_nothing_to_do(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """Two files are loaded and one lands afterwards; then somebody is worried about the ledger.

        Success criteria:
        - the audit names the late file, and counts the same rows in ledger and table
        - after the next run it is clean
        - a rebuild that is not confirmed is refused; a dry one finds nothing to write, and writes nothing
        """
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=RECORDS)
        ingestion = await new_ingestion("audits")
        path = f"/api/v1/ingestions/{ingestion['id']}"
        await run_to_end(api_client, ingestion["id"])
        await upload_json_files(minio_client, test_bucket, 2, 1, records_per_file=RECORDS)

        late = await finished(api_client, await api_client.post(f"{path}/audit"))
        assert not late["clean"]
        assert [each["name"] for each in late["missing"]["examples"]] == [f"s3://{test_bucket}/data/batch_2.json"]
        assert late["sides"]["ledger"]["rows"] == late["sides"]["table"]["rows"] == 2 * RECORDS

        await run_to_end(api_client, ingestion["id"])
        assert (await finished(api_client, await api_client.post(f"{path}/audit")))["clean"]

        refused = await api_client.post(f"{path}/rebuild-ledger", json={})
        assert (refused.status_code, refused.json()["code"]) == (422, "not_confirmed")
        rebuilt = await finished(api_client, await api_client.post(f"{path}/rebuild-ledger", json={"dry_run": True}))
        todo = ("batches_restored", "batches_withdrawn", "files_committed", "files_new")
        assert [rebuilt[name] for name in todo] == [0, 0, 0, 0]
        again = await run_to_end(api_client, ingestion["id"])
        assert again["metrics"]["files_processed"] == 0
        table = get_table_identifier(ingestion)
        await verify_table_data(spark_session, table, expected_count=3 * RECORDS)
        await asyncio.to_thread(lambda: spark_session.sql(f"DROP TABLE IF EXISTS {table} PURGE").collect())
