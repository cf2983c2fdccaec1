"""A bucket tells of its files: over HTTP, with a secret, or as `autoloader notifications setup` has configured it."""

import asyncio
import json
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner, Result

from client.cli import app
from tests.e2e.described import assert_explains_itself
from tests.e2e.environment import Environment
from tests.e2e.helpers import E2ELogger, NewIngestion, get_table_identifier, put, verify_table_data
from tests.e2e.records import ndjson, record
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]
TELL = "/api/v1/notifications/s3"
WITHIN_S = 60.0
RECORDS = 5


def told(bucket: str, *keys: str) -> dict[str, Any]:
    """As a store writes it."""
    event = {"eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put"}
    return {
        "Records": [
            {**event, "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "size": 1}}} for key in keys
        ]
    }


class TestNotifications:
    """However the news come, the file is loaded; and nobody tells them who does not know the secret."""

    async def test_files_are_loaded_that_a_bucket_tells_of(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        environment: Environment,
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """A bucket that tells nobody, then over HTTP, then through Kafka.

        Success criteria:
        - without the secret, or with a wrong one, nothing is taken
        - a file that is told of over HTTP is loaded by a run whose trigger is "event"
        - `autoloader notifications setup` configures the bucket once, and then a file that lands is loaded
        """
        logger = E2ELogger()
        logger.section("A bucket tells of its files")
        events = {"trigger": "event", "events": {"max_delay_s": 0.5}}
        ingestion = await new_ingestion("told", schedule=events)
        at, table = f"/api/v1/ingestions/{ingestion['id']}", get_table_identifier(ingestion)
        for action in ("pause", "resume"):
            answer = await api_client.post(f"{at}/{action}")
            assert 200 == answer.status_code, answer.text
        await eventually(lambda: ended(api_client, at, "backfill", 1), WITHIN_S, what="the first listing")

        logger.phase("Forged news are refused")
        await land(minio_client, test_bucket, "data/a b+c.json", 0)
        body = told(test_bucket, "data/a b+c.json")
        for headers, status in (({}, 401), ({"Authorization": "Bearer forged-secret-of-nobody"}, 403)):
            refused = await api_client.post(TELL, json=body, headers=headers)
            assert status == refused.status_code, refused.text
            assert_explains_itself(refused)
        assert [] == await runs_of(api_client, at, "event")

        logger.phase("The same with the secret is loaded")
        known = {"Authorization": f"Bearer {environment.notification_secret}"}
        accepted = await api_client.post(TELL, json=body, headers=known)
        assert 202 == accepted.status_code, accepted.text
        await eventually(lambda: loaded(api_client, at, 1), WITHIN_S, what="the file that was told of over HTTP")
        await verify_table_data(spark_session, table, RECORDS)

        logger.phase("The bucket is set up by the command")
        first, second = [await set_up(ingestion["id"], environment) for _ in range(2)]
        assert "(added)" in first.stdout, first.output
        assert "already" in second.stdout, second.output
        await land(minio_client, test_bucket, "data/d.json", 1)
        await eventually(lambda: loaded(api_client, at, 2), WITHIN_S, what="the file that the bucket told of")
        await verify_table_data(spark_session, table, 2 * RECORDS)


async def land(minio_client: Any, bucket: str, key: str, number: int) -> None:
    await put(minio_client, bucket, key, ndjson(record(number * RECORDS + n) for n in range(RECORDS)))


async def set_up(ingestion_id: str, environment: Environment) -> Result:
    """As a user would, with the keys of the store in the environment."""
    keys = {
        "AUTOLOADER_API_URL": environment.api_url,
        "AUTOLOADER_S3_ENDPOINT_URL": environment.minio_endpoint,
        "AUTOLOADER_S3_ACCESS_KEY_ID": environment.minio_access_key,
        "AUTOLOADER_S3_SECRET_ACCESS_KEY": environment.minio_secret_key,
    }
    asked = ["notifications", "setup", ingestion_id]
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, asked, env=keys, catch_exceptions=False))


async def runs_of(api_client: httpx.AsyncClient, at: str, trigger: str) -> list[dict[str, Any]]:
    answer = await api_client.get(f"{at}/runs", params={"limit": 100})
    assert 200 == answer.status_code, answer.text
    return [run for run in answer.json() if run["trigger"] == trigger]


async def ended(api_client: httpx.AsyncClient, at: str, trigger: str, runs: int) -> bool:
    return sum(run["ended_at"] is not None for run in await runs_of(api_client, at, trigger)) >= runs


async def loaded(api_client: httpx.AsyncClient, at: str, files: int) -> bool:
    """Whether runs of notifications have loaded so many files."""
    runs = await runs_of(api_client, at, "event")
    assert not [run["errors"] for run in runs if run["status"] == "failed"], json.dumps(runs)
    return sum(run["metrics"]["files_processed"] for run in runs) >= files and all(run["ended_at"] for run in runs)
