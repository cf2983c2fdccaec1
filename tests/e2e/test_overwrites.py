"""A file is loaded, and somebody writes another one over it: what becomes of it is the user's choice."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    NewIngestion,
    get_table_identifier,
    put,
    run_to_end,
    wait_for_run_completion,
)
from tests.e2e.records import ndjson, record

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

OLD, NEW, OTHER = range(10), range(100, 115), range(200, 205)
KEY = "data/orders.json"


@dataclass
class Orders:
    """An ingestion of two files, one of which is about to be overwritten."""

    api: httpx.AsyncClient
    s3: Any
    spark: SparkSession
    bucket: str
    ingestion: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.ingestion["id"])

    async def put(self, ids: range, key: str = KEY) -> None:
        body = ndjson(record(i) for i in ids)
        await put(self.s3, self.bucket, key, body)

    async def run(self, status: str = "success") -> dict[str, Any]:
        return await run_to_end(self.api, self.id, expected_status=status)

    async def rows(self) -> Counter[int]:
        """How often each id is in the table."""
        query = f"SELECT id FROM {get_table_identifier(self.ingestion)}"
        return Counter(row[0] for row in await asyncio.to_thread(lambda: self.spark.sql(query).collect()))

    async def explained(self) -> dict[str, Any]:
        answer = await self.api.get(f"/api/v1/ingestions/{self.id}/files/explain", params={"key": KEY})
        told: dict[str, Any] = answer.json()
        return told

    async def versions(self) -> list[str]:
        """What became of each version of the file, as the list of files has it."""
        answer = await self.api.get(f"/api/v1/ingestions/{self.id}/files", params={"prefix": KEY})
        return sorted(version["state"] for version in answer.json())

    async def choose(self, policy: str) -> None:
        answer = await self.api.patch(f"/api/v1/ingestions/{self.id}", json={"source": {"allow_overwrites": policy}})
        assert answer.status_code == 200, problem_of(answer)


@pytest.fixture
def policy() -> str:
    return "skip"


@pytest.fixture
async def orders(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    test_bucket: str,
    spark_session: SparkSession,
    policy: str,
    new_ingestion: NewIngestion,
) -> Orders:
    """Both files are loaded; then one of them is written again."""
    ingestion = await new_ingestion(
        "overwritten",
        source={"allow_overwrites": policy},
        destination={"metadata_columns": ["_file_path"]},
    )
    story = Orders(api_client, minio_client, spark_session, test_bucket, ingestion)
    await story.put(OLD)
    await story.put(OTHER, "data/other.json")
    await story.run()
    await story.put(NEW)
    return story


class TestOverwrites:
    async def test_by_default_the_first_version_stays_until_another_policy_is_chosen(self, orders: Orders) -> None:
        """Success criteria:
        - a run leaves the file as it is, and remembers the version that it did not load
        - the explanation says so, and what to do
        - under another policy the next run loads that version
        """
        run = await orders.run()
        assert (run["metrics"]["files_processed"], run["metrics"]["files_skipped"]) == (0, 2)
        assert await orders.rows() == Counter([*OLD, *OTHER])
        told = await orders.explained()
        assert told["verdict"] == "superseded"
        assert "source.allow_overwrites is skip" in told["evidence"]
        assert "files/reload" in told["next_action"]
        assert await orders.versions() == ["committed", "skipped"]

        await orders.choose("replace")
        assert (await orders.explained())["verdict"] == "waiting"
        assert (await orders.run())["metrics"]["files_processed"] == 1
        assert await orders.rows() == Counter([*NEW, *OTHER])

    @pytest.mark.parametrize("policy", ["append"])
    async def test_the_new_versions_rows_are_added(self, orders: Orders) -> None:
        """Success criteria:
        - the old version's rows are there beside the new one's, each once
        - a reload leaves only the rows of the version that is there now
        """
        assert (await orders.run())["metrics"]["records_ingested"] == len(NEW)
        assert (await orders.run())["metrics"]["files_processed"] == 0
        assert await orders.rows() == Counter([*OLD, *NEW, *OTHER])
        assert await orders.versions() == ["committed", "committed"]

        answer = await orders.api.post(f"/api/v1/ingestions/{orders.id}/files/reload", json={"keys": [KEY]})
        await wait_for_run_completion(orders.api, orders.id, answer.json()["run_id"], poll_interval=0.2)
        assert await orders.rows() == Counter([*NEW, *OTHER])
        assert (await orders.explained())["verdict"] == "loaded"

    @pytest.mark.parametrize("policy", ["replace"])
    async def test_the_new_versions_rows_take_the_place_of_the_old_ones(self, orders: Orders) -> None:
        """In a bucket that keeps versions. A new file lands beside the overwritten one.

        Success criteria:
        - a plan says what would replace rows
        - one snapshot replaces the file's rows, another one adds the new file's
        - the same content written again is nothing new, although the store calls it a new version
        """
        await asyncio.to_thread(
            orders.s3.put_bucket_versioning,
            Bucket=orders.bucket,
            VersioningConfiguration={"Status": "Enabled"},
        )
        await orders.put(range(300, 303), "data/new.json")
        plan = (await orders.api.post(f"/api/v1/ingestions/{orders.id}/plan", json={})).json()
        assert (plan["predicted"]["files"], plan["files_replacing"]) == (2, 1)

        run = await orders.run()
        assert (run["metrics"]["files_processed"], len(run["snapshots"])) == (2, 2)
        expected = Counter([*NEW, *OTHER, *range(300, 303)])
        assert await orders.rows() == expected
        assert await orders.versions() == ["committed", "superseded"]

        await orders.put(NEW)
        again = await orders.run()
        assert (again["metrics"]["files_processed"], again["metrics"]["error_count"]) == (0, 0)
        assert await orders.rows() == expected

    @pytest.mark.parametrize("policy", ["fail"])
    async def test_each_run_names_the_file_until_somebody_acts(self, orders: Orders) -> None:
        """Success criteria:
        - the run loads what is new, names the overwritten file, and is partial; the next one names it again
        - a reload of what failed puts the new version's rows in place, and the runs are content
        """
        await orders.put(range(300, 303), "data/new.json")
        run = await orders.run("partial")
        assert run["metrics"]["files_processed"] == 1
        assert run["metrics"]["error_count"] > 0
        for named in (run, await orders.run("failed")):
            [error] = named["errors"]
            assert (error["error_type"], error["file"]) == ("file_overwritten", f"s3://{orders.bucket}/{KEY}")
        told = await orders.explained()
        assert told["verdict"] == "failed"
        assert "files/reload" in told["next_action"]
        assert await orders.rows() == Counter([*OLD, *OTHER, *range(300, 303)])

        answer = await orders.api.post(f"/api/v1/ingestions/{orders.id}/files/reload", json={"failed": True})
        await wait_for_run_completion(orders.api, orders.id, answer.json()["run_id"], poll_interval=0.2)
        await orders.run()
        assert await orders.rows() == Counter([*NEW, *OTHER, *range(300, 303)])
