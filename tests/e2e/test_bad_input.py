"""What goes wrong, and how it is said: the thing by its name, the remedy beside it, and nothing lost.

Here the ingestion cannot work as described. Files that cannot be read are in test_bad_files.py, requests that are
refused at once in test_bad_requests.py.
"""

import json
import time
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.belongings import assert_fit_for_clients
from tests.e2e.helpers import (
    NewIngestion,
    assert_run_metrics,
    create_standard_ingestion,
    generate_unique_table_name,
    get_table_identifier,
    run_to_end,
    upload_json_files,
    verify_table_data,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_minio]

WITHIN_S = 20
"""'Within seconds', with room for a machine that runs four workers on two cores."""


class TestRunsThatCannotStart:
    """The request is well-formed; that it cannot work shows when it is tried."""

    async def test_unknown_bucket(
        self, api_client: httpx.AsyncClient, minio_config: dict[str, str], test_cluster_id: str
    ) -> None:
        """A bucket that does not exist.

        Success criteria:
        - the run fails within seconds, and its error names the bucket
        """
        missing = "there-is-no-such-bucket-3f1a"
        ingestion = await create_standard_ingestion(
            api_client, test_cluster_id, missing, minio_config, generate_unique_table_name("no_bucket")
        )

        run = await _fails_quickly(api_client, ingestion)

        assert run["errors"][0]["error_type"] == "bucket_not_found"
        assert missing in run["errors"][0]["message"]

    async def test_wrong_credentials_then_right_ones(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        minio_config: dict[str, str],
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """Credentials that the store refuses are corrected, and the next run picks everything up.

        Success criteria:
        - the run fails within seconds, naming the bucket or its store and the credentials, but not their values
        - after a PATCH with the right ones the next run loads all files
        """
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=10)
        wrong = {"aws_access_key_id": "AKIA-not-a-user", "aws_secret_access_key": "s3cr3t-not-to-be-seen"}
        ingestion = await new_ingestion("wrong_key", source={"credentials": wrong})

        run = await _fails_quickly(api_client, ingestion)
        text = json.dumps(run)
        assert "credentials" in text
        assert test_bucket in text
        assert_fit_for_clients(text, *wrong.values())

        right = {
            "aws_access_key_id": minio_config["aws_access_key_id"],
            "aws_secret_access_key": minio_config["aws_secret_access_key"],
            "endpoint_url": minio_config["endpoint_url"],
        }
        patched = await api_client.patch(
            f"/api/v1/ingestions/{ingestion['id']}", json={"source": {"credentials": right}}
        )
        assert patched.status_code == 200, patched.text
        assert_run_metrics(await run_to_end(api_client, ingestion["id"]), expected_files=2, expected_records=20)
        await verify_table_data(spark_session, get_table_identifier(ingestion), expected_count=20)

    async def test_unknown_catalog_then_a_known_one(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """A catalog that Spark does not know. Only Spark knows that, so the run says it.

        Success criteria:
        - the run fails within seconds and its error names the catalog
        - after a PATCH with a catalog that exists the next run loads all files: none counts as loaded
        """
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=10)
        ingestion = await new_ingestion("no_catalog", destination={"catalog": "nowhere"})

        run = await _fails_quickly(api_client, ingestion)
        assert "nowhere" in run["errors"][0]["message"]

        patched = await api_client.patch(
            f"/api/v1/ingestions/{ingestion['id']}", json={"destination": {"catalog": "test_catalog"}}
        )
        assert patched.status_code == 200, patched.text
        assert_run_metrics(await run_to_end(api_client, ingestion["id"]), expected_files=2, expected_records=20)
        await verify_table_data(spark_session, get_table_identifier(patched.json()), expected_count=20)


class TestNothingToDo:
    """No file is not an error. It is worth a word."""

    async def test_empty_prefix(
        self, api_client: httpx.AsyncClient, test_bucket: str, new_ingestion: NewIngestion
    ) -> None:
        """Nothing has landed yet.

        Success criteria:
        - the run succeeds with 0 files and a warning that names the path
        """
        ingestion = await new_ingestion("empty")

        run = await run_to_end(api_client, ingestion["id"], timeout_s=WITHIN_S)

        assert_run_metrics(run, expected_files=0, expected_records=0)
        assert len(run["warnings"]) == 1, run["warnings"]
        assert f"s3://{test_bucket}/data/" in run["warnings"][0]

    async def test_pattern_that_matches_nothing(
        self, api_client: httpx.AsyncClient, minio_client: Any, test_bucket: str, new_ingestion: NewIngestion
    ) -> None:
        """Files are there, the pattern wants others.

        Success criteria:
        - the run succeeds with 0 files; its warning has the pattern and how many objects there are
        """
        await upload_json_files(minio_client, test_bucket, 0, 7, records_per_file=1)
        ingestion = await new_ingestion("no_match", source={"file_pattern": "*.ndjson"})

        run = await run_to_end(api_client, ingestion["id"], timeout_s=WITHIN_S)

        assert_run_metrics(run, expected_files=0, expected_records=0)
        [warning] = run["warnings"]
        assert "*.ndjson" in warning
        assert "7" in warning


async def _fails_quickly(api_client: httpx.AsyncClient, ingestion: dict[str, Any]) -> dict[str, Any]:
    """Runs the ingestion, which must end as failed, saying why, within ``WITHIN_S`` seconds of the request."""
    began = time.monotonic()
    run = await run_to_end(api_client, ingestion["id"], expected_status="failed", timeout_s=WITHIN_S + 40)
    took_s = time.monotonic() - began
    assert took_s <= WITHIN_S, f"It took {took_s:.0f} s to say {run['errors']}"
    assert run["metrics"]["files_processed"] == 0
    assert run["metrics"]["error_count"] >= 1
    assert run["errors"], "A failed run says why"
    return run
