"""Files that are not loaded for their bad lines: the others load, the bad one is named to the line, and a mended one
loads next time."""

from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    NewIngestion,
    assert_run_metrics,
    get_table_identifier,
    put,
    run_to_end,
    upload_json_files,
    verify_table_data,
)
from tests.e2e.records import BASE_FIELDS, ndjson, record

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

BAD_KEY = "data/broken.json"
SKIP_FILE = {"on_error": "skip_file"}
# Good, good, and a line that a writer did not finish.
BROKEN = ndjson([record(900), record(901)]) + b'{"id": 902, "timestamp": "2025-01-0'


class TestBadFiles:
    """A folder where one producer has a bad day."""

    async def test_a_bad_file_does_not_hold_up_the_others(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """One of four files breaks off in the middle of a line; later its producer writes it again.

        Success criteria:
        - the run is partial: three files are loaded, none of the broken one's rows is
        - the error names the file and the line
        - the next run neither doubles the three nor succeeds in hiding the fourth
        - written again under the same key, the file is loaded by the next run, whole and once
        """
        await upload_json_files(minio_client, test_bucket, 0, 3, records_per_file=100)
        await put(minio_client, test_bucket, BAD_KEY, BROKEN)
        ingestion = await new_ingestion("one_bad", quality=SKIP_FILE)
        table = get_table_identifier(ingestion)

        first = await run_to_end(api_client, ingestion["id"], expected_status="partial")
        assert first["metrics"]["files_processed"] == 3
        assert first["metrics"]["records_ingested"] == 300
        [error] = first["errors"]
        assert error["file"] == f"s3://{test_bucket}/{BAD_KEY}"
        assert error["line"] == 3
        assert error["message"]
        assert first["metrics"]["error_count"] == 1
        await verify_table_data(spark_session, table, expected_count=300)

        await run_to_end(api_client, ingestion["id"], expected_status="success")
        await verify_table_data(spark_session, table, expected_count=300)

        await put(minio_client, test_bucket, BAD_KEY, ndjson(record(i) for i in (900, 901, 902)))
        mended = await run_to_end(api_client, ingestion["id"])
        assert_run_metrics(mended, expected_files=1, expected_records=3)
        await verify_table_data(spark_session, table, expected_count=303, expected_fields=BASE_FIELDS)

    async def test_nothing_but_bad_files(
        self, api_client: httpx.AsyncClient, minio_client: Any, test_bucket: str, new_ingestion: NewIngestion
    ) -> None:
        """No file of the run can be read.

        Success criteria:
        - the run has failed, with one error for each file, and loaded nothing
        """
        keys = [f"data/broken_{i}.json" for i in range(2)]
        for key in keys:
            await put(minio_client, test_bucket, key, b"this is not JSON\n")
        ingestion = await new_ingestion("all_bad", quality=SKIP_FILE)

        run = await run_to_end(api_client, ingestion["id"], expected_status="failed")

        assert run["metrics"]["files_processed"] == run["metrics"]["records_ingested"] == 0
        assert {error["file"] for error in run["errors"]} == {f"s3://{test_bucket}/{key}" for key in keys}
        assert {error["line"] for error in run["errors"]} == {1}

    async def test_no_second_object_on_a_line_is_lost_in_silence(
        self, api_client: httpx.AsyncClient, minio_client: Any, test_bucket: str, new_ingestion: NewIngestion
    ) -> None:
        """A writer forgot a newline, or put a comma where one belongs; JSON parsers stop after the first value.

        Success criteria:
        - every such file is refused, and the line is named
        """
        one, two = (ndjson([record(i)]).strip() for i in (1, 2))
        bad = {
            "data/no_newline.json": one + two,
            "data/comma.json": one + b"," + two,
            "data/trailing_comma.json": one + b",",
            "data/array.json": b"[" + one + b"," + two + b"]",
            "data/comment.json": one + b" // the first",
        }
        for key, line in bad.items():
            await put(minio_client, test_bucket, key, two + b"\n" + line + b"\n")
        ingestion = await new_ingestion("two_on_a_line", quality=SKIP_FILE)

        run = await run_to_end(api_client, ingestion["id"], expected_status="failed")

        assert {(error["file"], error["line"]) for error in run["errors"]} == {
            (f"s3://{test_bucket}/{key}", 2) for key in bad
        }

    async def test_an_empty_file_is_loaded_as_no_rows(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """A producer had nothing to say and wrote a file of 0 bytes.

        Success criteria:
        - the run succeeds; both files count as processed, the rows are those of the other one
        - the next run has nothing to do
        """
        await upload_json_files(minio_client, test_bucket, 0, 1, records_per_file=10)
        await put(minio_client, test_bucket, "data/empty.json", b"")
        ingestion = await new_ingestion("no_bytes")

        run = await run_to_end(api_client, ingestion["id"])

        assert_run_metrics(run, expected_files=2, expected_records=10)
        await verify_table_data(spark_session, get_table_identifier(ingestion), expected_count=10)
        assert_run_metrics(await run_to_end(api_client, ingestion["id"]), expected_files=0)
