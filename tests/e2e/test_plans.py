"""Somebody looks before the load, agrees, and gets exactly what was shown."""

from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    JsonFile,
    NewIngestion,
    assert_run_metrics,
    get_table_identifier,
    post,
    run_to_end,
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

RECORDS = 20


async def assert_readable(api_client: httpx.AsyncClient, plan: dict[str, Any], files: list[JsonFile]) -> None:
    """The plan is there as it was answered, and its files in the order of the listing, one on each page."""
    path = f"/api/v1/ingestions/{plan['ingestion_id']}/plans/{plan['id']}"
    again = await api_client.get(path)
    assert (again.status_code, again.json()) == (200, plan)
    seen = []
    for offset in range(len(files)):
        page = await api_client.get(f"{path}/files", params={"limit": 1, "offset": offset})
        assert (page.status_code, page.headers["X-Total-Count"]) == (200, str(len(files))), page.text
        assert ('rel="next"' in page.headers["Link"]) is (offset + 1 < len(files))
        seen += [(f["key"], f["size_bytes"]) for f in page.json()]
    assert seen == [(f["key"], f["size"]) for f in files]


class TestPlan:
    async def test_a_plan_is_applied_exactly_or_not_at_all(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """One file is loaded; two more land and are planned; then a fourth lands.

        Success criteria:
        - the plan names the two, page by page as well, can be read again, and expects as many records as they have
        - applied, it loads the two, not the fourth; predicted and actual stand side by side
        - applied again it loads nothing, and says what has changed
        """
        await upload_json_files(minio_client, test_bucket, 0, 1, records_per_file=RECORDS)
        ingestion = await new_ingestion("planned")
        table, ingestion_id = get_table_identifier(ingestion), ingestion["id"]
        await run_to_end(api_client, ingestion_id)
        two = await upload_json_files(minio_client, test_bucket, 1, 2, records_per_file=RECORDS)

        plan = await post(api_client, f"{ingestion_id}/plan", 201, {"kind": "run"})
        assert [f["key"] for f in plan["first_files"]] == [f["key"] for f in two]
        predicted = plan["predicted"]
        assert (predicted["files"], predicted["snapshots"], plan["files_skipped"]) == (2, 1, 1)
        assert abs(predicted["records"] - 2 * RECORDS) <= 2
        await verify_table_data(spark_session, table, expected_count=RECORDS)
        await assert_readable(api_client, plan, two)

        await upload_json_files(minio_client, test_bucket, 3, 1, records_per_file=RECORDS)
        applied = await post(api_client, f"{ingestion_id}/run", 202, {"plan_id": plan["id"]})
        run = await wait_for_run_completion(api_client, ingestion_id, applied["run_id"], poll_interval=0.2)
        assert_run_metrics(run, expected_files=2, expected_records=2 * RECORDS)
        assert run["prediction"]["predicted"] == predicted
        actual = run["prediction"]["actual"]
        assert (actual["files"], actual["records"], actual["snapshots"]) == (2, 2 * RECORDS, 1)
        assert actual["cost_usd"] > 0
        await verify_table_data(spark_session, table, expected_count=3 * RECORDS)

        again = await post(api_client, f"{ingestion_id}/run", 202, {"plan_id": plan["id"]})
        refused = await wait_for_run_completion(
            api_client, ingestion_id, again["run_id"], poll_interval=0.2, expected_status="failed"
        )
        [error] = refused["errors"]
        assert error["error_type"] == "plan_outdated"
        assert two[0]["key"] in error["message"]
        await verify_table_data(spark_session, table, expected_count=3 * RECORDS)

        assert_run_metrics(await run_to_end(api_client, ingestion_id), expected_files=1, expected_records=RECORDS)

    async def test_a_refresh_loads_what_was_planned(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """Two files are loaded; a full refresh is planned; then a third lands.

        Success criteria:
        - the plan changes nothing
        - the refresh's run loads the two into the new table, and shows what was expected beside what came
        - the third is the next run's
        """
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=RECORDS)
        ingestion = await new_ingestion("planned_anew")
        table, ingestion_id = get_table_identifier(ingestion), ingestion["id"]
        await run_to_end(api_client, ingestion_id)
        plan = await post(api_client, f"{ingestion_id}/plan", 201, {"kind": "refresh_full"})
        assert plan["predicted"]["files"] == 2
        await verify_table_data(spark_session, table, expected_count=2 * RECORDS)
        await upload_json_files(minio_client, test_bucket, 2, 1, records_per_file=RECORDS)

        body = {"confirm": True, "plan_id": plan["id"]}
        refresh = await post(api_client, f"{ingestion_id}/refresh/full", 202, body)
        run = await wait_for_run_completion(api_client, ingestion_id, refresh["run_id"], poll_interval=0.2)
        assert_run_metrics(run, expected_files=2, expected_records=2 * RECORDS)
        assert run["prediction"]["predicted"] == plan["predicted"]
        assert run["prediction"]["actual"]["files"] == 2
        await verify_table_data(spark_session, table, expected_count=2 * RECORDS)
        assert_run_metrics(await run_to_end(api_client, ingestion_id), expected_files=1, expected_records=RECORDS)
