"""Somebody computes yesterday's numbers, and wants to know whether yesterday is complete."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import NewIngestion, get_table_identifier, put, run_to_end, upload_json_files
from tests.e2e.records import ndjson, record
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

BAD_KEY = "data/broken.json"


class TestCompleteness:
    """The watermark of an ingestion."""

    async def test_it_stops_before_a_bad_file_and_goes_on_when_that_is_mended(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """Three files, one of them broken; its producer mends it.

        Success criteria:
        - before the first run there is no watermark, and it says why
        - after it the watermark stands before the broken file, which is named
        - after the mended file's run it has passed the time at which that was written
        - the table's own snapshot says so
        """
        ingestion = await new_ingestion("complete", quality={"on_error": "skip_file"})
        path = f"/api/v1/ingestions/{ingestion['id']}/completeness"
        before = (await api_client.get(path)).json()
        assert before["watermark"] is None
        assert "no listing of the whole source" in before["note"]

        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=10)
        await put(minio_client, test_bucket, BAD_KEY, b'{"id": 902, "timesta')
        await run_to_end(api_client, ingestion["id"], expected_status="partial")

        async def is_known() -> dict[str, Any] | None:
            told: dict[str, Any] = (await api_client.get(path)).json()
            return told if told["watermark"] is not None else None

        held = await eventually(is_known, 30)
        [broken] = held["held_by"]
        assert (f"s3://{test_bucket}/{BAD_KEY}", "failed") == (broken["file"], broken["state"])
        assert held["watermark"] < broken["last_modified"]

        mended_at = datetime.now(UTC)
        await put(minio_client, test_bucket, BAD_KEY, ndjson([record(902)]))
        # The margin for clocks: a watermark is that much behind the listing that it rests on.
        await eventually(lambda: (datetime.now(UTC) - mended_at).total_seconds() > 6, 10)
        await run_to_end(api_client, ingestion["id"])

        async def has_passed() -> bool:
            told = (await api_client.get(path)).json()
            return datetime.fromisoformat(told["watermark"]) > mended_at and told["held_by"] == []

        await eventually(has_passed, 30)
        shown = (await api_client.get(f"/api/v1/ingestions/{ingestion['id']}")).json()
        assert datetime.fromisoformat(shown["metadata"]["watermark"]) > mended_at

        snapshots = f"{get_table_identifier(ingestion)}.snapshots"
        query = f"SELECT summary['autoloader.watermark'] FROM {snapshots} ORDER BY committed_at DESC LIMIT 1"
        [row] = await asyncio.to_thread(lambda: spark_session.sql(query).collect())
        assert datetime.fromisoformat(row[0]) > mended_at
