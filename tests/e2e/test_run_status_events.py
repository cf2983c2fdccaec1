"""A program that never asks: it subscribes to run-status and is told a run's whole story, in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from jsonschema import Draft202012Validator, FormatChecker

from libs.common.contracts import codec
from libs.common.contracts.events import FileBatchCommitted, RunCompleted, RunFact, ScanCompleted, ScanStarted
from libs.common.contracts.schemas import run_status_schemas
from libs.common.contracts.topics import RUN_STATUS
from tests.e2e.belongings import assert_fit_for_clients
from tests.e2e.environment import Environment
from tests.e2e.helpers import (
    E2ELogger,
    JsonFile,
    NewIngestion,
    get_run,
    print_test_summary,
    trigger_run,
    wait_for_run_completion,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

VALIDATORS = {
    wire_type: Draft202012Validator(schema, format_checker=FormatChecker())
    for wire_type, schema in run_status_schemas().items()
}


@dataclass(frozen=True)
class Told:
    """One message as it came: its key, the CloudEvent as JSON, and what it says."""

    key: str
    event: dict[str, Any]
    fact: RunFact


@asynccontextmanager
async def listening(environment: Environment) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that stands at the end of every partition: it hears what happens from now on."""
    consumer = AIOKafkaConsumer(
        RUN_STATUS.name(environment.topic_prefix),
        bootstrap_servers=environment.kafka_bootstrap,
        group_id=None,  # nobody shares its reading, nothing is remembered after the test
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    await consumer.start()
    try:
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)  # seeking is lazy: without this, "the end" is where it is at first use
        yield consumer
    finally:
        await consumer.stop()


async def story_of(consumer: AIOKafkaConsumer, run_id: str, timeout_s: float = 180) -> list[Told]:
    """What the topic tells of one run, until it is over. Runs of other tests are on the topic as well."""
    told = []
    async with asyncio.timeout(timeout_s):
        async for message in consumer:
            fact = codec.decode(message.value).message
            if isinstance(fact, RunFact) and str(fact.run_id) == run_id:
                told.append(Told(message.key.decode(), json.loads(message.value), fact))
                if isinstance(fact, RunCompleted):
                    break
    return told


class TestRunStatusEvents:
    """The topic ``autoloader.run-status.v1`` as a public surface."""

    async def test_a_subscriber_hears_the_whole_story_in_order(
        self,
        environment: Environment,
        api_client: httpx.AsyncClient,
        sample_json_files: list[JsonFile],
        new_ingestion: NewIngestion,
    ) -> None:
        """Somebody follows a run without polling.

        Success criteria:
        - every message is a CloudEvent that fits the published schema of its type
        - the run's facts are numbered from 1 without a gap and arrive in that order, under the run's id as key
        - the story opens with scan.started, closes with run.completed, and tells of every batch between
        - totals never go backwards, and the last ones are what REST says
        """
        logger = E2ELogger()
        logger.section("A run as told on the topic")
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        ingestion = await new_ingestion("events", source={"max_files_per_trigger": 2})

        async with listening(environment) as consumer:
            run_id = await trigger_run(api_client, ingestion["id"])
            told = await story_of(consumer, run_id)
        for one in told:
            totals = one.fact.totals.model_dump(exclude_defaults=True)
            logger.step(f"{one.fact.seq:>3} {one.event['type']:<26} {totals}")

        logger.phase("Every message fits its published schema, CloudEvents envelope included")
        for one in told:
            VALIDATORS[one.event["type"]].validate(one.event)
            assert one.event["specversion"] == "1.0"
            assert one.key == run_id
            assert str(one.fact.ingestion_id) == ingestion["id"]
        assert len({one.event["id"] for one in told}) == len(told), "An event's id is its own"

        logger.phase("The story is whole and in order")
        facts = [one.fact for one in told]
        assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
        assert isinstance(facts[0], ScanStarted)
        assert sum(isinstance(fact, ScanCompleted) for fact in facts) == 1
        committed = [fact for fact in facts if isinstance(fact, FileBatchCommitted)]
        assert len(committed) == -(-files // 2), "One batch for every 2 files"
        assert sum(batch.records for batch in committed) == records
        assert isinstance(facts[-1], RunCompleted)
        assert facts[-1].outcome == "success"

        logger.phase("The numbers only grow, and REST says the same")
        for counter in ("files_discovered", "files_done", "batches_planned", "batches_done", "records_ingested"):
            series = [getattr(fact.totals, counter) for fact in facts]
            assert series == sorted(series), f"{counter} went backwards: {series}"
        run = await wait_for_run_completion(api_client, ingestion["id"], run_id, timeout=10, poll_interval=0.1)
        last = facts[-1].totals
        assert run["metrics"]["files_processed"] == last.files_done == files
        assert run["metrics"]["records_ingested"] == last.records_ingested == records
        assert sorted(run["snapshots"]) == sorted(batch.snapshot_id for batch in committed)
        assert await get_run(api_client, ingestion["id"], run_id) == run

        print_test_summary([("Run", run_id), ("Events", len(told)), ("Batches", len(committed))])

    async def test_no_event_carries_a_credential(
        self, environment: Environment, api_client: httpx.AsyncClient, new_ingestion: NewIngestion
    ) -> None:
        """A run that is refused by the store says so without showing what it was refused with.

        Success criteria:
        - the story ends with run.completed, outcome failed
        - neither the access key nor the secret occurs in any message of it
        """
        wrong = {"aws_access_key_id": "AKIA-not-a-user", "aws_secret_access_key": "s3cr3t-not-to-be-seen"}
        ingestion = await new_ingestion("events", source={"credentials": wrong})

        async with listening(environment) as consumer:
            run_id = await trigger_run(api_client, ingestion["id"])
            told = await story_of(consumer, run_id, timeout_s=60)

        assert isinstance(told[-1].fact, RunCompleted)
        assert told[-1].fact.outcome == "failed"
        text = json.dumps([one.event for one in told])
        assert_fit_for_clients(text, *wrong.values())
