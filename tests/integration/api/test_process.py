"""The API process with real Postgres and Kafka, and without one of them."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from libs.common.contracts.codec import decode, encode
from libs.common.contracts.events import FileBatchCommitted, RunCompleted, RunRequested, ScanStarted
from libs.common.contracts.topics import RUN_REQUESTS, RUN_STATUS
from libs.common.messaging.kafka import KafkaPublisher
from tests.integration.api.harness import INGESTIONS, START, Story, definition
from tests.integration.api.processes import ROOT, ApiProcess, api_process
from tests.support.eventually import eventually
from tests.support.sse import events
from tests.support.topics import kafka_bootstrap, own_topics

pytestmark = pytest.mark.asyncio

NOWHERE = "127.0.0.1:1"  # nothing listens there


@pytest_asyncio.fixture
async def running(database_url: str, port: int) -> AsyncIterator[ApiProcess]:
    async with (
        own_topics() as prefix,
        api_process(
            port,
            AUTOLOADER_DATABASE_URL=database_url,
            AUTOLOADER_KAFKA_BOOTSTRAP=kafka_bootstrap(),
            AUTOLOADER_TOPIC_PREFIX=prefix,
        ) as process,
    ):
        yield process


async def created(api: ApiProcess) -> str:
    answer = await api.client.post(INGESTIONS, json=definition())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_run_goes_out_over_kafka_and_comes_back(running: ApiProcess) -> None:
    """The request reaches the topic under the ingestion's key; facts from the topic become the run."""
    ingestion_id = await created(running)
    run_id = (await running.client.post(f"{INGESTIONS}/{ingestion_id}/run")).json()["run_id"]
    message = await _first_message(RUN_REQUESTS.name(running.topic_prefix))
    request = decode(message.value).message
    assert isinstance(request, RunRequested)
    assert (ingestion_id, run_id) == (message.key.decode(), str(request.run_id))

    story = Story(ingestion_id, run_id)
    batch: dict[str, Any] = {"batch_id": UUID(int=1), "files": 1, "records": 10, "size_bytes": 9}
    facts = [
        story.fact(ScanStarted, attempt=1),
        story.fact(FileBatchCommitted, grow={"files_done": 1, "records_ingested": 10}, snapshot_id=7, **batch),
        story.fact(RunCompleted, outcome="success"),
    ]
    publisher = KafkaPublisher(kafka_bootstrap(), "test")
    try:
        values = [encode(fact, source="autoloader/test", time=START) for fact in facts]
        for value in [values[1], *values, values[0]]:  # out of order, and twice
            await publisher.send(RUN_STATUS.name(running.topic_prefix), key=run_id, value=value)
    finally:
        await publisher.stop()

    async def ended() -> dict[str, Any] | None:
        run: dict[str, Any] = (await running.client.get(f"{INGESTIONS}/{ingestion_id}/runs/{run_id}")).json()
        return run if run["ended_at"] else None

    run = await eventually(ended, 20, what="the run ends")
    assert ("success", 1, 10, [7]) == (
        run["status"],
        run["metrics"]["files_processed"],
        run["metrics"]["records_ingested"],
        run["snapshots"],
    )


async def test_a_ready_api_says_so_and_counts_its_requests(running: ApiProcess) -> None:
    """Probes and Prometheus find what they look for, at the root and under the prefix."""
    for prefix in ("", "/api/v1"):
        ready = await running.client.get(f"{prefix}/health/ready")
        assert ready.status_code == 200, ready.text
        assert {"postgres", "kafka"} == ready.json()["checks"].keys()
        metrics = await running.client.get(f"{prefix}/metrics")
        assert 'autoloader_http_requests_total{method="GET",route="/health/live",status="200"}' in metrics.text
    assert "3.1.0" == (await running.client.get("/openapi.json")).json()["openapi"]
    assert 200 == (await running.client.get("/docs")).status_code


async def test_without_kafka_requests_are_kept(database_url: str, port: int) -> None:
    """The API starts, accepts the run, and says what it waits for; readiness names Kafka."""
    environment = {"AUTOLOADER_DATABASE_URL": database_url, "AUTOLOADER_KAFKA_BOOTSTRAP": NOWHERE}
    async with api_process(port, AUTOLOADER_TOPIC_PREFIX="never-made", **environment) as api:
        ingestion_id = await created(api)
        accepted = await api.client.post(f"{INGESTIONS}/{ingestion_id}/run")
        assert 202 == accepted.status_code

        async def explained() -> str | None:
            run = await api.client.get(f"{INGESTIONS}/{ingestion_id}/runs/{accepted.json()['run_id']}")
            waiting_on: str | None = run.json()["waiting_on"]
            return waiting_on

        waiting_on = await eventually(explained, 30, what="the run says what it waits for")
        assert NOWHERE in waiting_on
        assert waiting_on.endswith("the request is kept and will be sent")
        ready = await api.client.get("/health/ready")
        assert (503, "ok", "unavailable") == (
            ready.status_code,
            ready.json()["checks"]["postgres"]["status"],
            ready.json()["checks"]["kafka"]["status"],
        )
        assert NOWHERE in ready.json()["detail"]


async def test_a_stop_ends_what_is_told_of_runs(database_url: str, port: int) -> None:
    """Streams end whole, and the process need not wait for them until its patience ends."""
    environment = {"AUTOLOADER_DATABASE_URL": database_url, "AUTOLOADER_KAFKA_BOOTSTRAP": NOWHERE}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        async with api_process(port, AUTOLOADER_TOPIC_PREFIX="never-made", **environment) as api:
            ingestion_id = await created(api)
            run_id = (await api.client.post(f"{INGESTIONS}/{ingestion_id}/run")).json()["run_id"]
            told: set[str] = set()

            async def listen() -> None:
                async for event in events(client, f"{INGESTIONS}/{ingestion_id}/runs/{run_id}/events"):
                    told.add(event.name)

            listening = asyncio.create_task(listen())
            await eventually(lambda: told, what="the run is told")
        await asyncio.wait_for(listening, 5)  # raises if the stream was cut off
    assert {"progress"} == told
    assert not any("Cancel" in line for line in api.log), "the server had to cancel the stream"


async def test_without_postgres_the_answer_is_503(port: int) -> None:
    """With Retry-After and a remedy; the process lives, and readiness names Postgres."""
    environment = {
        "AUTOLOADER_DATABASE_URL": f"postgresql://u:topsecret@{NOWHERE}/d",
        "AUTOLOADER_KAFKA_BOOTSTRAP": NOWHERE,
    }
    async with api_process(port, **environment) as api:
        for answer in (
            await api.client.get(INGESTIONS),
            await api.client.post(INGESTIONS, json=definition()),
        ):
            assert (503, "database_unavailable") == (answer.status_code, answer.json()["code"])
            assert int(answer.headers["Retry-After"]) > 0
            assert "DATABASE_URL" in answer.json()["hint"]
        ready = await api.client.get("/health/ready")
        assert 503 == ready.status_code
        assert ready.json()["checks"]["postgres"]["problem"].startswith("Postgres is not available")
        assert 200 == (await api.client.get("/health/live")).status_code
    assert "topsecret" not in "\n".join(api.log)


async def test_secrets_stay_out_of_the_log(running: ApiProcess) -> None:
    """Whatever is sent, and however it fails."""
    source = {
        "path": "s3://landing/x/",
        "credentials": {"aws_access_key_id": "AKIA-x", "aws_secret_access_key": "s3cr3t"},
    }
    await running.client.post(INGESTIONS, json=definition(source=source))
    await running.client.post(INGESTIONS, json=definition(source={**source, "bad": 1}))
    await eventually(lambda: sum('"status": 422' in line for line in running.log), what="both requests are logged")
    assert "s3cr3t" not in "\n".join(running.log)
    assert "AKIA-x" not in "\n".join(running.log)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AUTOLOADER_SECRET_KEY": ""}, "openssl rand -base64 32"),
        ({"AUTOLOADER_SECRET_KEY": "c2hvcnQ="}, "openssl rand -base64 32"),
        ({"AUTOLOADER_API_PORT": "many"}, "AUTOLOADER_API_PORT"),
    ],
)
async def test_a_start_that_cannot_be_says_why_in_one_line(environment: dict[str, str], said: str) -> None:
    """And no traceback."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.api", cwd=ROOT, stderr=asyncio.subprocess.PIPE,
        env={"PATH": "", "AUTOLOADER_SECRET_KEY": "", **environment},
    )  # fmt: skip
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert 0 != process.returncode
    assert said in stderr.decode()
    assert "Traceback" not in stderr.decode()


async def test_a_taken_port_is_named(port: int) -> None:
    """With the setting that chooses another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.api", cwd=ROOT, stderr=asyncio.subprocess.PIPE,
            env={"PATH": "", "AUTOLOADER_SECRET_KEY": "A" * 43 + "=", "AUTOLOADER_API_PORT": str(port)},
        )  # fmt: skip
        _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert 1 == process.returncode
    assert f"127.0.0.1:{port}" in stderr.decode()
    assert "AUTOLOADER_API_PORT" in stderr.decode()
    assert "Traceback" not in stderr.decode()


async def _first_message(topic: str) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap(), auto_offset_reset="earliest")
    await consumer.start()
    try:

        async def partitions() -> set[int] | None:
            await consumer._client.force_metadata_update()
            found: set[int] | None = consumer.partitions_for_topic(topic)
            return found

        await eventually(partitions, 15, what=f"{topic} exists")
        consumer.subscribe([topic])
        return await asyncio.wait_for(consumer.getone(), 15)
    finally:
        await consumer.stop()
