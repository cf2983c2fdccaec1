"""Real processes, really killed (F01–F19 of the ones that a run passes through). After a restart the run ends by
itself, and every row is in the table once."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
import pytest_asyncio
from pyspark.sql.connect.session import SparkSession

from tests.support.eventually import eventually
from tests.support.installation import Installation, installation

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

BUCKET = "autoloader-faults"
FILES = 4
RECORDS = 50
RECOVERY_S = 120.0
FINAL = ("success", "partial", "failed", "cancelled")


@pytest.fixture(scope="module")
def s3() -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000"),
        aws_access_key_id=os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
        aws_secret_access_key=os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
        region_name="us-east-1",
    )
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture(scope="module")
def spark() -> Any:
    session = SparkSession.builder.remote(os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002")).create()
    yield session
    session.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation() as started:
        yield started


@dataclass
class Case:
    """One ingestion of four files in two batches, with its table."""

    autoloader: Installation
    s3: Any
    spark: Any
    name: str
    ingestion_id: str = ""
    run_id: str = ""

    async def begin(self) -> None:
        """Files land, and a run is asked for."""
        for file in range(FILES):
            lines = [json.dumps({"id": file * RECORDS + i, "text": f"row {i}"}) for i in range(RECORDS)]
            body = "\n".join(lines).encode()
            await asyncio.to_thread(self.s3.put_object, Bucket=BUCKET, Key=f"{self.name}/{file}.json", Body=body)
        created = await self.autoloader.post(
            "",
            name=self.name,
            cluster_id="local",
            source={"path": f"s3://{BUCKET}/{self.name}/", "file_pattern": "*.json", "max_files_per_trigger": 2},
            destination={"catalog": "test_catalog", "database": "faults", "table": self.name},
        )
        self.ingestion_id = created["id"]
        self.run_id = (await self.autoloader.post(f"/{self.ingestion_id}/run"))["run_id"]

    async def check(self) -> dict[str, Any]:
        """The run ends in success by itself; count = distinct = expected; the counts of the run say the same."""

        async def is_over() -> bool:
            return (await self.autoloader.run_of(self.ingestion_id, self.run_id))["status"] in FINAL

        await eventually(is_over, RECOVERY_S, what=f"the run of {self.name} ends")
        run = await self.autoloader.run_of(self.ingestion_id, self.run_id)
        assert "success" == run["status"], "\n".join([json.dumps(run, indent=1), *self.autoloader.complaints()])
        query = f"SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM test_catalog.faults.{self.name}"
        [found] = await asyncio.to_thread(lambda: self.spark.sql(query).collect())
        assert (FILES * RECORDS, FILES * RECORDS) == (found["rows"], found["ids"])
        assert (FILES, FILES * RECORDS) == (run["metrics"]["files_processed"], run["metrics"]["records_ingested"])
        return run

    def clean(self) -> None:
        self.spark.sql(f"DROP TABLE IF EXISTS test_catalog.faults.{self.name} PURGE").collect()
        for file in range(FILES):
            self.s3.delete_object(Bucket=BUCKET, Key=f"{self.name}/{file}.json")


@pytest_asyncio.fixture(loop_scope="module")
async def case(autoloader: Installation, s3: Any, spark: Any) -> AsyncIterator[Case]:
    case = Case(autoloader, s3, spark, f"kill_{uuid4().hex[:10]}")
    yield case
    for service in autoloader.running[1:]:
        await service.stop()
    del autoloader.running[1:]
    await asyncio.to_thread(case.clean)


@pytest.mark.parametrize(
    "point",
    [
        "exec.after_claim",
        "exec.during_stage",
        "exec.after_stage",
        "exec.after_audit",
        "exec.before_publish",
        "exec.during_publish",
        "exec.after_publish",
        "exec.after_finalise",
    ],
)
async def test_an_executor_killed_anywhere_loses_and_doubles_nothing(case: Case, point: str) -> None:
    """kill -9 at the point, then a restart: the next executor takes the batches over when their leases end."""
    victim, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=point), case.autoloader.start("scanner")
    )
    await case.begin()
    assert -signal.SIGKILL == await victim.ended()
    await case.autoloader.start("executor")
    await case.check()


@pytest.mark.parametrize("point", ["scan.mid_listing", "scan.after_page", "scan.before_done", "relay.after_send"])
async def test_a_scanner_killed_anywhere_loses_and_doubles_nothing(case: Case, point: str) -> None:
    """kill -9 at the point, then a restart: the listing starts again, and finds in the ledger what was recorded."""
    victim, _ = await asyncio.gather(
        case.autoloader.start("scanner", failpoint=point), case.autoloader.start("executor")
    )
    await case.begin()
    assert -signal.SIGKILL == await victim.ended()
    await case.autoloader.start("scanner")
    await case.check()


async def test_another_executor_takes_over_without_a_restart(case: Case) -> None:
    """Killed between publish and finalise, and gone for good: the sweeper of the other one finishes the batch."""
    victim, _, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint="exec.after_publish"),
        case.autoloader.start("executor"),
        case.autoloader.start("scanner"),
    )
    await case.begin()
    # Whether the victim gets a batch is Kafka's choice; if it gets none, there is nothing to take over.
    await case.check()
    assert victim.process.returncode in (None, -signal.SIGKILL)


async def test_a_frozen_executor_that_wakes_up_is_fenced(case: Case) -> None:
    """SIGSTOP past its lease, right before its publish; another one finishes the batch; SIGCONT: one publish."""
    frozen, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint="exec.before_publish:1:stop"), case.autoloader.start("scanner")
    )
    await case.begin()
    await eventually(lambda: _is_stopped(frozen.process.pid), RECOVERY_S, what="the executor has frozen")
    await case.autoloader.start("executor")
    await case.check()
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: _says(frozen.log, "batch.fenced"), RECOVERY_S, what="the zombie notices")
    await case.check()


async def _is_stopped(pid: int) -> bool:
    def state() -> str:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    return await asyncio.to_thread(state) == "T"


async def _says(log: list[str], event: str) -> bool:
    return any(f'"event": "{event}"' in line for line in log)
