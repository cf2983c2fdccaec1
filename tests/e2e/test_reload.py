"""A file was wrong. It is written again, and loaded in the place of what it had brought."""

import asyncio
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    NewIngestion,
    assert_run_metrics,
    get_table_identifier,
    post,
    put,
    run_to_end,
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)
from tests.e2e.records import ndjson, record

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

RECORDS = 20


async def ids_by_file(spark: SparkSession, table: str) -> dict[str, set[int]]:
    query = f"SELECT _file_path, collect_list(id) FROM {table} GROUP BY 1"
    rows = await asyncio.to_thread(lambda: spark.sql(query).collect())
    found = {row[0]: list(row[1]) for row in rows}
    assert all(len(ids) == len(set(ids)) for ids in found.values()), "No row is there twice"
    return {path: set(ids) for path, ids in found.items()}


class TestReload:
    async def test_a_corrected_file_takes_its_own_place(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """Three files are loaded into a table whose rows say their file. One of them is written again.

        Success criteria:
        - a run leaves it as it is; a reload replaces its rows, in one snapshot, and touches no others
        - the file's explanation and an audit agree with the table
        - a reload of the very same version changes nothing that a reader sees
        """
        files = await upload_json_files(minio_client, test_bucket, 0, 3, records_per_file=RECORDS)
        ingestion = await new_ingestion("reloaded", destination={"metadata_columns": ["_file_path"]})
        table, ingestion_id = get_table_identifier(ingestion), ingestion["id"]
        await run_to_end(api_client, ingestion_id)
        before = await ids_by_file(spark_session, table)
        assert set(before) == {f["path"] for f in files}

        wrong = files[1]
        body = ndjson(record(9000 + n) for n in range(5))
        await put(minio_client, test_bucket, wrong["key"], body)
        assert_run_metrics(await run_to_end(api_client, ingestion_id), expected_files=0, expected_records=0)

        for _ in range(2):
            accepted = await post(api_client, f"{ingestion_id}/files/reload", 202, {"keys": [wrong["key"]]})
            run = await wait_for_run_completion(api_client, ingestion_id, accepted["run_id"], poll_interval=0.2)
            assert_run_metrics(run, expected_files=1, expected_records=5)
            assert len(run["snapshots"]) == 1
            expected = {**before, wrong["path"]: {9000 + n for n in range(5)}}
            assert await ids_by_file(spark_session, table) == expected
            await verify_table_data(spark_session, table, expected_count=2 * RECORDS + 5)

        asked = await api_client.get(f"/api/v1/ingestions/{ingestion_id}/files/explain", params={"key": wrong["key"]})
        assert asked.json()["verdict"] == "loaded"
        assert run["id"] in " ".join(asked.json()["evidence"])

    async def test_without_a_file_column_it_is_said_what_is_needed(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """One of two files is broken, and the table does not say which file a row came from.

        Success criteria:
        - a reload of the loaded file is refused, with the way there
        - a reload of what failed loads the mended file
        """
        [good] = await upload_json_files(minio_client, test_bucket, 0, 1, records_per_file=RECORDS)
        await put(minio_client, test_bucket, "data/bad.json", b"this is not JSON\n")
        ingestion = await new_ingestion("not_reloaded", quality={"on_error": "skip_file"})
        await run_to_end(api_client, ingestion["id"], expected_status="partial")

        refused = await post(api_client, f"{ingestion['id']}/files/reload", 409, {"keys": [good["key"]]})
        assert refused["code"] == "file_column_missing"
        assert "_file_path" in refused["hint"]

        await put(minio_client, test_bucket, "data/bad.json", ndjson([record(900)]))
        accepted = await post(api_client, f"{ingestion['id']}/files/reload", 202, {"failed": True})
        run = await wait_for_run_completion(api_client, ingestion["id"], accepted["run_id"], poll_interval=0.2)
        assert_run_metrics(run, expected_files=1, expected_records=1)
        await verify_table_data(spark_session, get_table_identifier(ingestion), expected_count=RECORDS + 1)
