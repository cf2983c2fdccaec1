"""Files load by the clock: nobody asks for the run."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import (
    NewIngestion,
    assert_run_metrics,
    get_table_identifier,
    post,
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

FILES = 2
RECORDS = 20
TICK_S = 60.0 + 30.0


class TestSchedule:
    async def test_files_are_loaded_at_the_next_full_minute(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
        spark_session: SparkSession,
    ) -> None:
        """Somebody defines an ingestion that runs every minute, looks at its ticks, and turns it on.

        Success criteria:
        - as a draft it shows its ticks, and has no next run
        - resumed it is active, and says when it runs next
        - at that minute a run of trigger ``schedule`` loads the files
        - paused it has no next run any more
        """
        await upload_json_files(minio_client, test_bucket, 0, FILES, records_per_file=RECORDS)
        ingestion = await new_ingestion(
            "scheduled", schedule={"frequency": "custom", "cron_expression": "* * * * *", "timezone": "Asia/Kathmandu"}
        )
        path = f"/api/v1/ingestions/{ingestion['id']}"
        draft = (await api_client.get(f"{path}/schedule", params={"count": 3})).json()
        assert (draft["is_on"], len(draft["ticks"])) == (False, 3), f"A draft only shows its ticks: {draft}"
        assert draft["ticks"][0]["shown"].endswith("+05:45"), f"By the clock of its zone: {draft}"
        assert ingestion["metadata"]["next_run_time"] is None, "A draft has no next run"

        await post(api_client, f"{ingestion['id']}/resume", 200)
        active = (await api_client.get(path)).json()
        next_run = datetime.fromisoformat(active["metadata"]["next_run_time"])
        assert (active["status"], next_run.second) == ("active", 0), f"It runs at a full minute: {active}"

        async def has_run() -> bool:
            return bool((await api_client.get(f"{path}/runs")).json())

        await eventually(has_run, TICK_S, what="the schedule starts a run")
        await post(api_client, f"{ingestion['id']}/pause", 200)
        first = (await api_client.get(f"{path}/runs")).json()[-1]
        assert first["trigger"] == "schedule", f"Nobody asked for it: {first}"
        created = datetime.fromisoformat(first["created_at"])
        assert next_run <= created < next_run + timedelta(minutes=1), f"At its minute ({next_run}): {first}"
        run = await wait_for_run_completion(api_client, ingestion["id"], first["id"], expected_status="success")
        assert_run_metrics(run, expected_files=FILES, expected_records=FILES * RECORDS)
        table = get_table_identifier(ingestion)
        await verify_table_data(spark_session, table, expected_count=FILES * RECORDS)
        paused = (await api_client.get(path)).json()
        assert paused["metadata"]["next_run_time"] is None, f"Paused, it does not tick: {paused}"
