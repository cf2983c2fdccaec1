"""A disk is full (F50): Postgres', Kafka's, Spark's. Somebody says so, nothing is committed by halves, and with room
again everything goes on. What has stopped for good (a Postgres that panicked, a broker whose log failed) is started
again, as any supervisor does; nothing else is touched.

Each part has a small file system to itself, which a ballast file fills. See ``why_no_small_disk``.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped, unused-ignore]
import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from tests.faults.cases import RECORDS, Case
from tests.faults.tally import Faults
from tests.faults.test_kafka import case_of, progressed
from tests.support.databases import server_url
from tests.support.eventually import eventually
from tests.support.installation import Installation, installation
from tests.support.own_broker import own_broker
from tests.support.own_postgres import own_postgres
from tests.support.small_disk import small_disk
from tests.support.spark_server import spark_server

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

STRUCK_S = 120.0
FILES = 8


async def is_ready(autoloader: Installation) -> bool:
    return (await autoloader.client.get("/health/ready")).status_code == 200


async def refused(case: Case) -> httpx.Response | None:
    """Asks for one more definition, with some text that needs room; the answer, if it was not taken."""
    answer = await case.autoloader.client.post(
        "/api/v1/ingestions",
        json={
            "name": f"room_{uuid4().hex}",
            "cluster_id": "local",
            "source": {"path": "s3://nobody/", "file_pattern": "".join(uuid4().hex for _ in range(30))},
            "destination": {"catalog": "test_catalog", "database": "faults", "table": "nobody"},
        },
    )
    return None if answer.is_success else answer


@pytest.mark.fault("F50", "Postgres' disk is full: its tables cannot grow")
async def test_postgres_without_room_is_told_and_goes_on_when_there_is_some(
    s3: Any, spark: Any, faults: Faults
) -> None:
    """The API refuses what it cannot store, and names the disk; the run in the middle ends by itself."""
    with small_disk(size_mb=200) as disk:
        async with (
            own_postgres(disk.path) as postgres,
            installation(postgres=postgres.url) as autoloader,
            case_of(autoloader, s3, spark, faults) as case,
        ):
            await case.begin(files=FILES, files_per_batch=1)
            await progressed(case, batches_done=1)
            disk.fill()
            answer = await eventually(lambda: refused(case), STRUCK_S, what="Postgres has no room for more")
            faults.inject()
            assert (503, "database_unavailable") == (answer.status_code, answer.json()["code"]), answer.text
            assert "No space left on device" in answer.json()["detail"], answer.text
            assert "disk" in answer.json()["hint"], answer.text
            assert int(answer.headers["Retry-After"]) > 0
            disk.free()
            await postgres.start()
            await case.check()


@pytest.mark.fault("F50", "Postgres' disk is full: it cannot write its log, and panics")
async def test_postgres_that_panicked_is_started_again_and_the_run_ends(s3: Any, spark: Any, faults: Faults) -> None:
    """Its own recovery brings back what was committed, and nothing else."""
    with small_disk(size_mb=200) as disk:
        async with (
            own_postgres(disk.path) as postgres,
            installation(postgres=postgres.url) as autoloader,
            case_of(autoloader, s3, spark, faults) as case,
        ):
            await case.begin(files=FILES, files_per_batch=1)
            await progressed(case, batches_done=1)
            disk.fill()

            async def is_away() -> bool:
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await postgres.write_wal(size_mb=16)
                return not await is_ready(autoloader)

            await eventually(is_away, STRUCK_S, what="Postgres has panicked")
            faults.inject()
            answer = await autoloader.client.get(f"/api/v1/ingestions/{case.ingestion_id}")
            assert (503, "database_unavailable") == (answer.status_code, answer.json()["code"]), answer.text
            disk.free()
            await postgres.start()
            await case.check()
            assert await is_ready(autoloader)


@pytest.mark.fault("F50", "Kafka's disk is full, and the broker stops")
async def test_a_broker_without_room_is_told_and_the_run_ends_when_it_is_back(
    s3: Any, spark: Any, faults: Faults
) -> None:
    """The API takes a request all the same, and says that it cannot pass it on."""
    with small_disk(size_mb=100) as disk:
        async with (
            own_broker(disk.path) as broker,
            installation(kafka=broker.bootstrap) as autoloader,
            case_of(autoloader, s3, spark, faults) as case,
        ):
            await case.begin(files=FILES, files_per_batch=1)
            await progressed(case, batches_done=1)
            async with somebody_else_on(broker.bootstrap) as is_refused:
                disk.fill()
                await eventually(is_refused, STRUCK_S, what="the broker takes no more")
                await eventually(lambda: not broker.is_running, STRUCK_S, what="the broker has stopped")
            faults.inject()
            await eventually(lambda: says_kafka_is_away(autoloader), STRUCK_S, what="the API says that it is away")
            disk.free()
            await broker.start()
            await case.check()
            assert await is_ready(autoloader)


@asynccontextmanager
async def somebody_else_on(bootstrap: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Another user of the broker, with a topic of its own. Yields what writes 100 KB there, and is true if that was
    refused."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("somebody-elses", 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, request_timeout_ms=3_000)
    await producer.start()

    async def is_refused() -> bool:
        try:
            async with asyncio.timeout(5):
                await producer.send_and_wait("somebody-elses", b"x" * 100_000)
        except (KafkaError, TimeoutError):
            return True
        return False

    try:
        yield is_refused
    finally:
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(5):
                await producer.stop()


async def says_kafka_is_away(autoloader: Installation) -> bool:
    checks = (await autoloader.client.get("/health/ready")).json()["checks"]
    return bool(checks["kafka"]["status"] == "unavailable" and checks["kafka"]["problem"])


@pytest.mark.fault("F50", "Spark's local disk is full in the middle of a run")
async def test_spark_without_room_is_told_and_the_run_goes_on_when_there_is_some(
    s3: Any, spark: Any, faults: Faults
) -> None:
    """Data files are written to the local disk first, and a shuffle too: the attempt fails with the reason, and one of
    the next loads the batch."""
    where = urlsplit(server_url())
    with small_disk(size_mb=200) as disk:
        async with (
            spark_server(catalog_port=where.port or 5432, state=disk.path) as server,
            installation(
                settings={"AUTOLOADER_CLUSTERS": json.dumps({"local": f"sc://127.0.0.1:{server.port}"})}
            ) as autoloader,
            case_of(autoloader, s3, spark, faults) as case,
        ):
            await case.begin(files=FILES, files_per_batch=1)
            await progressed(case, batches_done=1)
            disk.fill()
            await eventually(lambda: names_the_disk(autoloader, "batch.retry"), STRUCK_S, what="Spark has no room")
            faults.inject()
            disk.free()
            await case.check()


@pytest.mark.fault("F50", "Spark's local disk is full for longer than an executor has patience")
async def test_spark_that_stays_without_room_blames_no_file(s3: Any, spark: Any, faults: Faults) -> None:
    """Not even an empty burn can be written. With room again the batch is burned and the run ends with the reason, or
    it is loaded; what is left the next run loads."""
    where = urlsplit(server_url())
    with small_disk(size_mb=200) as disk:
        async with (
            spark_server(catalog_port=where.port or 5432, state=disk.path) as server,
            installation(
                settings={"AUTOLOADER_CLUSTERS": json.dumps({"local": f"sc://127.0.0.1:{server.port}"})}
            ) as autoloader,
            case_of(autoloader, s3, spark, faults) as case,
        ):
            await case.begin(files=2)
            await case.succeeded()
            for file in range(2, FILES):
                await case.put(case.key(file), range(file * RECORDS, (file + 1) * RECORDS))
            disk.fill()
            await case.ask()
            await eventually(lambda: names_the_disk(autoloader, "batch.left"), 2 * STRUCK_S, what="no burn either")
            faults.inject()
            assert names_the_disk(autoloader, "batch.given_up")
            disk.free()
            run = await case.ended()
            if run["status"] != "success":
                told = {(error["error_type"], error["file"]) for error in run["errors"]}
                assert {("spark_disk_full", None)} == told, case.story_of(run)
                await case.ask()
                await case.succeeded()
            case.faults.judged(await case.verdict())


def names_the_disk(autoloader: Installation, event: str) -> bool:
    """Whether an executor has told the reason with this event."""
    return any(event in line and "spark_disk_full" in line for s in autoloader.running for line in s.log)
