"""Bad records beside good ones: set aside with their reason, within a limit, or the end of the run."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    NewIngestion,
    assert_run_metrics,
    get_table_identifier,
    put,
    run_to_end,
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)
from tests.e2e.records import ndjson, record

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

KEY = "data/mixed.json"
LATE = json.dumps({**record(903), "value": "late"}).encode()
CUT = b'{"id": 904, "timestamp": "2025-01-0'
MIXED = ndjson([record(900), record(901)]) + LATE + b"\n" + ndjson([record(902)]) + CUT
RECORDS = 20


class TestQuarantine:
    """A producer whose files have a few bad lines each."""

    async def test_bad_records_are_set_aside_and_the_others_load(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """A table is there; then a file lands that has a value of another type, and ends in the middle of a line.

        Success criteria:
        - the run is partial: all good records are in the table, and the counts close
        - the error names the file, the line and what does not fit
        - the quarantine table has each bad record once, whole, with file, line, reason and run
        - the list over REST tells the same
        - the next run reads nothing again
        """
        await upload_json_files(minio_client, test_bucket, 0, 1, records_per_file=RECORDS)
        ingestion = await new_ingestion("mixed")
        table, uri = get_table_identifier(ingestion), f"s3://{test_bucket}/{KEY}"
        await run_to_end(api_client, ingestion["id"])

        await put(minio_client, test_bucket, KEY, MIXED)
        run = await run_to_end(api_client, ingestion["id"], expected_status="partial")
        assert (run["metrics"]["files_processed"], run["metrics"]["records_ingested"]) == (1, 3)
        assert run["metrics"]["records_quarantined"] == 2
        [error] = run["errors"]
        assert (error["error_type"], error["file"], error["line"]) == ("bad_records", uri, 3)
        assert "cannot hold late" in error["message"]
        await verify_table_data(spark_session, table, expected_count=RECORDS + 3)

        rows = await asyncio.to_thread(
            lambda: spark_session.sql(f"SELECT * FROM {table}__quarantine ORDER BY line").collect()
        )
        assert [(r["file"], r["line"], r["raw"], r["run_id"]) for r in rows] == [
            (uri, 3, LATE.decode(), run["id"]),
            (uri, 5, CUT.decode(), run["id"]),
        ]
        assert all(r["is_raw_whole"] for r in rows)
        assert rows[1]["reason"] == "a JSON object that is cut short"

        listed = await api_client.get(f"/api/v1/ingestions/{ingestion['id']}/quarantine", params={"file": KEY})
        assert listed.status_code == 200, problem_of(listed)
        [file] = listed.json()
        assert (file["file"], file["records_loaded"], file["records_quarantined"]) == (uri, 3, 2)
        assert [(r["line"], r["reason"]) for r in file["first"]] == [(r["line"], r["reason"]) for r in rows]

        assert_run_metrics(await run_to_end(api_client, ingestion["id"]), expected_files=0)

    async def test_a_limit_and_an_end(
        self, api_client: httpx.AsyncClient, minio_client: Any, test_bucket: str, new_ingestion: NewIngestion
    ) -> None:
        """A file ends in the middle of a line, for an ingestion with a limit, and for one that ends its run for that.

        Success criteria:
        - beyond the limit nothing of the file is loaded, and the reason says which limit; the other file is
        - with abort the run has failed, and names the file
        """
        await upload_json_files(minio_client, test_bucket, 0, 1, records_per_file=RECORDS)
        await put(minio_client, test_bucket, KEY, MIXED)
        for quality, status, word in (
            ({"bad_records_max": 0}, "partial", "too_many_bad_records"),
            ({"on_error": "abort"}, "failed", "unparsable_file"),
        ):
            ingestion = await new_ingestion("limited", quality=quality)
            run = await run_to_end(api_client, ingestion["id"], expected_status=status)
            told = {error["error_type"]: error for error in run["errors"]}
            assert (told[word]["file"], told[word]["line"]) == (f"s3://{test_bucket}/{KEY}", 5)
            assert run["metrics"]["records_quarantined"] == 0
            assert run["metrics"]["records_ingested"] == (RECORDS if status == "partial" else 0)

    async def test_what_fits_after_the_cause_is_mended_leaves_the_quarantine(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """A number is too large for its column, and a line is cut short. The ingestion is allowed to widen columns.

        Success criteria:
        - the replay loads the large number, once, and leaves the line that is still bad
        - written anew and replayed, nothing is left, and a further replay is refused
        """
        body = b'{"id": 1, "n": 1}\n{"id": 2, "n": 1099511627776}\n{"id": '
        await put(minio_client, test_bucket, KEY, body)
        ingestion = await new_ingestion(
            "replayed",
            format={"schema": {"inference": "manual", "schema_json": "id bigint, n int"}},
            destination={"metadata_columns": ["_file_path"]},
        )
        path, table = f"/api/v1/ingestions/{ingestion['id']}", get_table_identifier(ingestion)

        async def ids_and_lines() -> tuple[list[int], list[int]]:
            ids = await asyncio.to_thread(lambda: spark_session.sql(f"SELECT id FROM {table}").collect())
            lines = await asyncio.to_thread(
                lambda: spark_session.sql(f"SELECT line FROM {table}__quarantine").collect()
            )
            return sorted(r["id"] for r in ids), sorted(r["line"] for r in lines)

        await run_to_end(api_client, ingestion["id"], expected_status="partial")
        assert await ids_and_lines() == ([1], [2, 3])

        widens = {"format": {"schema": {"schema_evolution_mode": "add_new_columns_with_type_widening"}}}
        changed = await api_client.patch(path, json=widens)
        assert changed.status_code == 200, problem_of(changed)
        for now, status, left in ((None, "partial", [3]), (body[:-7], "success", [])):
            if now is not None:
                await put(minio_client, test_bucket, KEY, now)
            asked = await api_client.post(f"{path}/quarantine/replay", json={})
            assert asked.status_code == 202, problem_of(asked)
            await wait_for_run_completion(
                api_client, ingestion["id"], asked.json()["run_id"], expected_status=status, poll_interval=0.2
            )
            assert await ids_and_lines() == ([1, 2], left)

        refused = await api_client.post(f"{path}/quarantine/replay", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "nothing_quarantined")
