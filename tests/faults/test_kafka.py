"""Kafka misbehaves (F21–F25): messages that come thrice or never, poison, restless groups, a broker that goes away.

Kafka only wakes, so none of it may cost more than time.
"""

import asyncio
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import MessageSizeTooLargeError

from libs.common.contracts.topics import FILE_BATCHES, MESSAGE_BYTES_MAX, RUN_REQUESTS, Topic
from tests.faults.cases import RECORDS, RECOVERY_S, Case
from tests.faults.mode import Mode, mode
from tests.faults.tally import Faults
from tests.support.eventually import eventually
from tests.support.installation import ROOT, Installation, installation
from tests.support.own_broker import own_broker

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

SEED = 21
UNRULY = {name: f"tests.faults.unruly.{name}" for name in ("api", "scanner", "executor")}


def lasting(full_s: float, quick_s: float) -> float:
    """How long a fault lasts: as the catalogue says, or less in a quick run."""
    return full_s if mode() is Mode.ALL else quick_s


@asynccontextmanager
async def case_of(autoloader: Installation, s3: Any, spark: Any, faults: Faults) -> AsyncIterator[Case]:
    """A case on an installation of its own; scanner and executor run."""
    await asyncio.gather(autoloader.start("scanner"), autoloader.start("executor"))
    case = Case(autoloader, s3, spark, faults, f"kafka_{uuid4().hex[:10]}")
    try:
        yield case
    finally:
        await asyncio.to_thread(case.clean)


def said(autoloader: Installation, event: str) -> int:
    """How often the services have logged ``event``."""
    return sum(f'"event": "{event}"' in line for service in autoloader.running for line in service.log)


async def progressed(case: Case, **at_least: int) -> None:
    """Waits until the run is so far."""

    async def is_so_far() -> bool:
        progress = (await case.autoloader.run_of(case.ingestion_id, case.run_id))["progress"]
        return all(progress[name] >= count for name, count in at_least.items())

    await eventually(is_so_far, RECOVERY_S, what=f"the run has {at_least}")


def name_of(topic: Topic, autoloader: Installation) -> str:
    return topic.name(autoloader.environment["AUTOLOADER_TOPIC_PREFIX"])


@asynccontextmanager
async def admin_of(autoloader: Installation) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=autoloader.environment["AUTOLOADER_KAFKA_BOOTSTRAP"])
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def reader_of(
    autoloader: Installation, topic: str, partitions: int, group: str | None = None
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """Holds all partitions of ``topic``, without joining ``group``."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=autoloader.environment["AUTOLOADER_KAFKA_BOOTSTRAP"], group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        own = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(own)
        yield consumer, own
    finally:
        await consumer.stop()


# --- F21, F22: messages ------------------------------------------------------------------------------------


@pytest.mark.fault("F21", "every message comes three times, shuffled and late", quick=True)
async def test_messages_that_come_three_times_change_nothing(s3: Any, spark: Any, faults: Faults) -> None:
    """The same result as once, also when the last copy has come."""
    how = f"repeat:{lasting(30, 5):g}"
    async with (
        installation(modules=UNRULY, settings={"UNRULY": how, "UNRULY_SEED": str(SEED)}) as autoloader,
        case_of(autoloader, s3, spark, faults) as case,
    ):
        await case.begin()
        before = await case.succeeded()

        async def everything_has_come() -> bool:
            return said(autoloader, "unruly.delivered") == said(autoloader, "unruly.owed")

        await eventually(everything_has_come, RECOVERY_S, what="the last copy has come")
        faults.inject(said(autoloader, "unruly.delivered"))
        after = await case.check()
        assert before["metrics"] == after["metrics"]


@pytest.mark.fault("F22", "30 % of the batch messages are lost")
async def test_batches_whose_message_was_lost_are_found(s3: Any, spark: Any, faults: Faults) -> None:
    """The sweeper asks Postgres what is unfinished."""
    async with (
        installation(modules=UNRULY, settings={"UNRULY": "drop:0.3", "UNRULY_SEED": str(SEED)}) as autoloader,
        case_of(autoloader, s3, spark, faults) as case,
    ):
        await case.begin(files=10, files_per_batch=1)
        await case.check()
        dropped = said(autoloader, "unruly.dropped")
        assert dropped > 0
        faults.inject(dropped)


@pytest.mark.fault("F22", "topics are deleted in the middle of a run")
async def test_topics_that_are_deleted_are_made_again_and_the_run_ends(case: Case) -> None:
    """Nobody restarts anything; a later run goes through the new topics."""
    await asyncio.gather(case.autoloader.start("scanner"), case.autoloader.start("executor"))
    await case.begin(files=8, files_per_batch=1)
    names = [name_of(topic, case.autoloader) for topic in (FILE_BATCHES, RUN_REQUESTS)]
    await progressed(case, batches_done=1)
    async with admin_of(case.autoloader) as admin:
        await admin.delete_topics(names)
        case.faults.inject(len(names))
        await case.check()
        await case.put(case.key(100), range(100 * RECORDS, 101 * RECORDS))
        await case.ask()
        await case.succeeded()
        case.faults.judged(await case.verdict())
        assert set(names) <= set(await admin.list_topics())


@pytest.mark.parametrize(
    "to_start",
    [
        pytest.param(
            True, marks=pytest.mark.fault("F22", "the executors' offsets are set back to the start"), id="start"
        ),
        pytest.param(False, marks=pytest.mark.fault("F22", "the executors' offsets are set to the end"), id="end"),
    ],
)
async def test_offsets_that_somebody_has_moved_cost_time_only(case: Case, to_start: bool) -> None:
    """Back: everything comes again. Ahead: what was not read yet never comes, and the sweeper finds it."""
    executor, _ = await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    await case.begin(files=6, files_per_batch=1)
    if to_start:
        await case.succeeded()
    await executor.stop()
    if not to_start:
        await progressed(case, batches_planned=6)
    group = f"{case.autoloader.environment['AUTOLOADER_TOPIC_PREFIX']}-executor-file-batches"
    topic = name_of(FILE_BATCHES, case.autoloader)
    async with reader_of(case.autoloader, topic, FILE_BATCHES.partitions, group) as (consumer, own):
        offsets = await (consumer.beginning_offsets(own) if to_start else consumer.end_offsets(own))
        await consumer.commit(offsets)
    case.faults.inject()
    await case.autoloader.start("executor")
    await case.check()


# --- F23: poison -------------------------------------------------------------------------------------------


def event(**changes: Any) -> bytes:
    """A CloudEvent that is nearly one of ours."""
    made = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "test",
        "type": "file-batch.planned.v1",
        "time": datetime.now(UTC).isoformat(),
        "data": {},
    }
    return json.dumps({**made, **changes}).encode()


@pytest.mark.fault("F23", "poison on every partition: not JSON, wrong schema, unknown version, 2 MB", quick=True)
async def test_poison_is_set_aside_and_the_partitions_go_on(case: Case) -> None:
    """Each of it lies in the dead-letter topic, with its origin and the reason. 2 MB the broker itself refuses."""
    poison = {
        "undecodable": b"\xff\x00 this is not JSON",
        "invalid_data": event(data={"batch_id": "7", "files": "many"}),
        "unknown_type": event(type="file-batch.planned.v99"),
    }
    topic = name_of(FILE_BATCHES, case.autoloader)
    producer = AIOKafkaProducer(
        bootstrap_servers=case.autoloader.environment["AUTOLOADER_KAFKA_BOOTSTRAP"],
        max_request_size=4 * MESSAGE_BYTES_MAX,
    )
    await producer.start()
    try:
        for partition in range(FILE_BATCHES.partitions):
            for value in poison.values():
                await producer.send_and_wait(topic, value, partition=partition)
                case.faults.inject()
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic, b"x" * 2 * MESSAGE_BYTES_MAX)
        case.faults.inject()
    finally:
        await producer.stop()
    await asyncio.gather(case.autoloader.start("scanner"), case.autoloader.start("executor"))
    await case.begin()
    await case.check()
    origins: dict[tuple[str, str, bytes], set[int]] = {}
    async with reader_of(case.autoloader, f"{topic}.dlq", 1) as (consumer, own):
        await consumer.seek_to_beginning(*own)

        async def all_found() -> bool:
            for letters in (await consumer.getmany(timeout_ms=500)).values():
                for letter in letters:
                    headers = {name: text.decode() for name, text in letter.headers}
                    assert headers["reason"]
                    kind = (headers["origin-topic"], headers["code"], letter.value)
                    origins.setdefault(kind, set()).add(int(headers["origin-partition"]))
            return sum(map(len, origins.values())) == len(poison) * FILE_BATCHES.partitions

        await eventually(all_found, RECOVERY_S, what="all poison is in the dead-letter topic")
    everywhere = set(range(FILE_BATCHES.partitions))
    assert {(topic, code, value): everywhere for code, value in poison.items()} == origins


# --- F24: a restless group ---------------------------------------------------------------------------------


async def join(autoloader: Installation, group: str) -> Process:
    """One more member, which does no work."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.group_member",
        autoloader.environment["AUTOLOADER_KAFKA_BOOTSTRAP"],
        group,
        name_of(FILE_BATCHES, autoloader),
        cwd=ROOT,
    )


@pytest.mark.fault("F24", "every 2 s a consumer joins the executors' group or dies")
async def test_a_restless_group_makes_progress(case: Case) -> None:
    """Runs end all the time, and the executor lives through each rebalance."""
    executor, _ = await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    group = f"{case.autoloader.environment['AUTOLOADER_TOPIC_PREFIX']}-executor-file-batches"
    members: list[Process] = []
    random = Random(SEED)

    async def be_restless() -> None:
        while True:
            if len(members) == 3 or (members and random.random() < 0.5):
                member = members.pop(0)
                member.kill()
                await member.wait()
            else:
                members.append(await join(case.autoloader, group))
            case.faults.inject()
            await asyncio.sleep(2)  # the rhythm of the fault

    restless = asyncio.create_task(be_restless())
    runs = 0
    try:
        await case.begin(files=6, files_per_batch=1)
        until = asyncio.get_running_loop().time() + lasting(60, 20)
        while runs < 1 or asyncio.get_running_loop().time() < until:
            await case.succeeded()
            runs += 1
            file = 10 + runs
            await case.put(case.key(file), range(file * RECORDS, (file + 1) * RECORDS))
            await case.ask()
    finally:
        restless.cancel()
        await asyncio.gather(restless, return_exceptions=True)
        for member in members:
            member.kill()
            await member.wait()
    await case.succeeded()
    case.faults.judged(await case.verdict())
    assert executor.process.returncode is None


# --- F25: the broker ---------------------------------------------------------------------------------------


@pytest.mark.fault("F25", "the broker is killed and started again in the middle of a run")
async def test_a_broker_that_is_restarted_loses_no_run(s3: Any, spark: Any, faults: Faults) -> None:
    """The order of each run's facts is kept, as the oracle sees for itself."""
    async with (
        own_broker() as broker,
        installation(kafka=broker.bootstrap) as autoloader,
        case_of(autoloader, s3, spark, faults) as case,
    ):
        await case.begin(files=8, files_per_batch=1)
        await progressed(case, batches_done=1)
        await broker.kill()
        faults.inject()
        await broker.start()
        await case.check()


@pytest.mark.fault("F25", "the broker is away for 60 s, and a run is asked for in the meantime")
async def test_a_broker_that_is_away_is_waited_for(s3: Any, spark: Any, faults: Faults) -> None:
    """The API takes the request all the same; the outbox drains when the broker is back."""
    async with (
        own_broker() as broker,
        installation(kafka=broker.bootstrap) as autoloader,
        case_of(autoloader, s3, spark, faults) as case,
    ):
        await case.create()
        await broker.kill()
        faults.inject()
        await case.ask()
        await asyncio.sleep(lasting(60, 5))  # the length of the fault
        assert (await autoloader.run_of(case.ingestion_id, case.run_id))["status"] != "failed"
        await broker.start()
        await case.check()
        for service in autoloader.running:
            assert service.process.returncode is None
