"""A file lands, and nobody calls: a few seconds later its rows are in the table."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.helpers import E2ELogger, NewIngestion, get_table_identifier, put, upload_json_files, verify_table_data
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]
MINIO_TELLS_KAFKA = "arn:minio:sqs:us-east-1:AUTOLOADER:kafka"
AT_ONCE = {"trigger": "event", "events": {"max_delay_s": 0.5}}
LOADED_WITHIN_S = 60.0
RECORDS = 10


class TestLoadAsFilesLand:
    """The bucket tells of its objects, and the table follows."""

    async def test_a_file_that_lands_is_loaded_without_any_call(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """From nothing to rows that follow the bucket, until somebody turns it off.

        Success criteria:
        - what was there before is loaded by a listing, when the ingestion becomes active
        - a file that lands is in the table without any call, by a run whose trigger is "event"
        - what was told twice, and what does not exist, changes nothing
        - a PATCH to trigger "time", and a pause, turn it off; what landed meanwhile is loaded when it is on again
        """
        logger = E2ELogger()
        logger.section("Loading as files land")
        await upload_json_files(minio_client, test_bucket, 0, 2, RECORDS)
        await tell_of_all(minio_client, test_bucket)
        ingestion = await new_ingestion("as_they_land", schedule=AT_ONCE)
        at = f"/api/v1/ingestions/{ingestion['id']}"
        table = get_table_identifier(ingestion)

        logger.phase("Switched on: what was there is listed")
        assert "active" == await switched_on(api_client, at)
        await eventually(lambda: loaded(api_client, at, "backfill", files=2), LOADED_WITHIN_S, what="the first listing")

        logger.phase("A file lands")
        await upload_json_files(minio_client, test_bucket, 2, 1, RECORDS)
        await eventually(lambda: loaded(api_client, at, "event", files=1), LOADED_WITHIN_S, what="the file that landed")
        await verify_table_data(spark_session, table, 3 * RECORDS)

        logger.phase("It is written again as it was, and an object that nobody wants lands beside it")
        await upload_json_files(minio_client, test_bucket, 2, 1, RECORDS)
        await put(minio_client, test_bucket, "data/notes.txt", b"no data\n")
        await eventually(lambda: ended(api_client, at, "event", runs=2), LOADED_WITHIN_S, what="a run of the same file")
        await verify_table_data(spark_session, table, 3 * RECORDS)

        logger.phase("Turned off by a PATCH: a file waits")
        turned_off = await api_client.patch(at, json={"schedule": {"trigger": "time"}})
        assert 200 == turned_off.status_code, turned_off.text
        await upload_json_files(minio_client, test_bucket, 3, 1, RECORDS)
        turned_on = await api_client.patch(at, json={"schedule": AT_ONCE})
        assert 200 == turned_on.status_code, turned_on.text
        await switched_on(api_client, at)
        await eventually(lambda: total(api_client, at, files=4), LOADED_WITHIN_S, what="what landed while it was off")

        logger.phase("Paused: a file waits")
        assert 200 == (await api_client.post(f"{at}/pause")).status_code
        events = len(await runs_of(api_client, at, "event"))
        await upload_json_files(minio_client, test_bucket, 4, 1, RECORDS)
        assert events == len(await runs_of(api_client, at, "event"))
        assert "active" == await switched_on(api_client, at)
        await eventually(lambda: total(api_client, at, files=5), LOADED_WITHIN_S, what="what landed during the pause")
        await verify_table_data(spark_session, table, 5 * RECORDS)


async def tell_of_all(minio_client: Any, bucket: str) -> None:
    """As the buckets of the local stack are configured."""
    queue = {"QueueArn": MINIO_TELLS_KAFKA, "Events": ["s3:ObjectCreated:*"]}
    await asyncio.to_thread(
        minio_client.put_bucket_notification_configuration,
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [queue]},
    )


async def switched_on(api_client: httpx.AsyncClient, at: str) -> str:
    """The ingestion's status then."""
    answer = await api_client.post(f"{at}/resume")
    assert 200 == answer.status_code, answer.text
    return str(answer.json()["status"])


async def runs_of(api_client: httpx.AsyncClient, at: str, *triggers: str) -> list[dict[str, Any]]:
    """Those with one of these triggers, newest first."""
    answer = await api_client.get(f"{at}/runs", params={"limit": 100})
    assert 200 == answer.status_code, answer.text
    return [run for run in answer.json() if run["trigger"] in triggers]


def _files(runs: Sequence[dict[str, Any]]) -> int:
    return sum(run["metrics"]["files_processed"] for run in runs)


async def loaded(api_client: httpx.AsyncClient, at: str, trigger: str, files: int) -> bool:
    """Whether runs with this trigger have loaded so many files, and none of them failed."""
    runs = await runs_of(api_client, at, trigger)
    assert not [run["errors"] for run in runs if run["status"] == "failed"]
    return _files(runs) >= files and all(run["ended_at"] for run in runs)


async def ended(api_client: httpx.AsyncClient, at: str, trigger: str, runs: int) -> bool:
    return sum(run["ended_at"] is not None for run in await runs_of(api_client, at, trigger)) >= runs


async def total(api_client: httpx.AsyncClient, at: str, files: int) -> bool:
    runs = await runs_of(api_client, at, "event", "backfill")
    return _files(runs) >= files and all(run["ended_at"] for run in runs)
