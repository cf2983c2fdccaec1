"""One turn: new ingestions, new tables, executors that have just started and are warm, and all files at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families
from pyspark.sql.connect.session import SparkSession

from bench.peers.peer import GivenUp, Miscounted
from bench.peers.spark_tables import drop
from bench.slots.figures import Batch, Collisions, Setting, Slots, Turn
from bench.slots.spark_log import SparkLog, repetitions
from bench.stack import definition, put_all, table_of
from bench.workloads import DDL, lines
from tests.support.installation import Installation, ServiceProcess, free_port

LIMIT_S = 480.0
"""Of one load. A batch that is left to a sweep runs into this, since by default no sweep comes. Below the 10 minutes
after which the Spark server forgets our session."""
_BATCHES = """
SELECT b.ingestion_id, b.state, b.attempts,
       extract(epoch FROM b.created_at)::float AS planned_s,
       extract(epoch FROM a.started_at)::float AS begun_s,
       extract(epoch FROM a.ended_at)::float AS published_s
FROM ledger.batch b LEFT JOIN ledger.batch_attempt a ON a.batch_id = b.id AND a.token = b.token
WHERE b.run_id = ANY($1)
"""
_UNFINISHED = """
SELECT count(*) AS in_all, count(*) FILTER (WHERE attempts = 0) AS unclaimed
FROM ledger.batch WHERE run_id = ANY($1) AND state NOT IN ('published', 'burned')
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What each ingestion gets: ``batches`` of ``files`` files with ``records`` lines each."""

    ingestions: int
    batches: int
    files: int
    records: int
    warm_up: int
    """Batches of each ingestion that go before, and make its table: they open the executors' Spark sessions."""

    @property
    def files_in_all(self) -> int:
        return self.ingestions * self.batches * self.files


@dataclass(frozen=True, slots=True)
class Stage:
    """Where turns are taken. ``connection`` is to the services' database; ``sweep`` is between two searches of an
    executor for batches that nobody works on."""

    autoloader: Installation
    connection: Any
    spark: SparkSession
    spark_log: Path
    s3: Any
    bucket: str
    sweep: timedelta


@dataclass(frozen=True, slots=True)
class _Executor:
    process: ServiceProcess
    metrics_port: int

    async def publishes(self, outcome: str) -> int:
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{self.metrics_port}/metrics")).text
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        wanted = {"outcome": outcome}
        return int(sum(s.value for s in samples if s.name == "autoloader_publishes_total" and s.labels == wanted))

    def attempts_repeated(self) -> int:
        return sum('"event": "batch.retry"' in line for line in self.process.log)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What all executors have counted so far."""

    taken: int
    refused: int
    attempts_repeated: int


async def take(stage: Stage, setting: Setting, load: Load) -> Turn:
    """Loads everything.

    Raises:
        GivenUp: a run did not succeed, or not in time.
        Miscounted: the tables hold other rows than the files.
    """
    name = f"bench_slots_{uuid4().hex[:8]}"
    tables = [f"{name}_{number}" for number in range(setting.tables)]
    try:
        async with _executors(stage, setting.slots) as executors:
            ingestions = [
                await _ingestion(stage, name, n, tables[n % len(tables)], load) for n in range(load.ingestions)
            ]
            await _loaded(stage, name, ingestions, load, range(load.warm_up))
            log, before = SparkLog(stage.spark_log), await _counted(executors)
            runs = await _loaded(stage, name, ingestions, load, range(load.warm_up, load.warm_up + load.batches))
            after = await _counted(executors)
        repeated = await asyncio.to_thread(lambda: repetitions(log.lines(), of=name))
        _count_rows(stage.spark, tables, load)
        collisions = Collisions(
            publishes=after.taken - before.taken,
            refused=after.refused - before.refused,
            repeated_publishes=repeated["publish"],
            repeated_stages=repeated["stage"],
            repeated_others=repeated["other"],
            attempts_repeated=after.attempts_repeated - before.attempts_repeated,
        )
        return Turn.of(await _batches(stage, ingestions, runs), load.files_in_all, collisions)
    finally:
        for table in tables:
            drop(stage.spark, table_of(table))


@asynccontextmanager
async def _executors(stage: Stage, slots: Slots) -> AsyncIterator[list[_Executor]]:
    """Executors of this turn alone."""
    ports = [free_port() for _ in range(slots.executors)]
    started = [
        await stage.autoloader.start(
            "executor",
            AUTOLOADER_BATCHES_AT_ONCE=str(slots.of_each),
            AUTOLOADER_METRICS_PORT=str(port),
            AUTOLOADER_SWEEP_INTERVAL_S=str(stage.sweep.total_seconds()),
        )
        for port in ports
    ]
    try:
        yield [_Executor(process, port) for process, port in zip(started, ports, strict=True)]
    finally:
        await asyncio.gather(*(process.stop() for process in started))
        for process in started:
            stage.autoloader.running.remove(process)


async def _counted(executors: Sequence[_Executor]) -> _Counted:
    return _Counted(
        taken=sum([await each.publishes("taken") for each in executors]),
        refused=sum([await each.publishes("refused") for each in executors]),
        attempts_repeated=sum(each.attempts_repeated() for each in executors),
    )


async def _ingestion(stage: Stage, name: str, number: int, table: str, load: Load) -> UUID:
    wanted = definition(
        f"{name}_{number}",
        f"s3://{stage.bucket}/{name}/{number}/",
        format={"type": "json", "schema": {"inference": "manual", "schema_json": DDL}},
    )
    wanted["source"]["max_files_per_trigger"] = load.files
    wanted["destination"]["table"] = table
    return UUID((await stage.autoloader.post("", **wanted))["id"])


async def _loaded(stage: Stage, name: str, ingestions: Sequence[UUID], load: Load, batches: range) -> list[UUID]:
    """Puts the files of these batches into the store, and has all ingestions load them at once. Their runs."""
    files = range(batches.start * load.files, batches.stop * load.files)
    objects = (
        (f"{name}/{ingestion}/f{number:06}.json", lines(number * load.records, load.records))
        for ingestion in range(load.ingestions)
        for number in files
    )
    await asyncio.to_thread(put_all, stage.s3, stage.bucket, objects)
    accepted = await asyncio.gather(*(stage.autoloader.post(f"/{each}/run") for each in ingestions))
    runs = [UUID(each["run_id"]) for each in accepted]
    try:
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*(_followed(stage, *each) for each in zip(ingestions, runs, strict=True)))
    except TimeoutError:
        left = await stage.connection.fetchrow(_UNFINISHED, runs)
        raise GivenUp(
            f"after {LIMIT_S:.0f} s {left['in_all']} batches are unfinished, {left['unclaimed']} of them never claimed"
        ) from None
    return runs


async def _followed(stage: Stage, ingestion: UUID, run: UUID) -> None:
    """To its end."""
    path = f"/api/v1/ingestions/{ingestion}/runs/{run}/events"
    async with stage.autoloader.client.stream("GET", path, timeout=LIMIT_S) as told:
        async for _ in told.aiter_lines():
            pass
    ended = await stage.autoloader.run_of(str(ingestion), str(run))
    if ended["status"] != "success":
        raise GivenUp(f"run {run} ended {ended['status']}: {ended}"[:500])


async def _batches(stage: Stage, ingestions: Sequence[UUID], runs: Sequence[UUID]) -> list[Batch]:
    rows = await stage.connection.fetch(_BATCHES, runs)
    if unpublished := [row["state"] for row in rows if row["state"] != "published"]:
        raise GivenUp(f"{len(unpublished)} batches were not published: {sorted(set(unpublished))}")
    began_s = min(row["planned_s"] for row in rows)
    return [
        Batch(
            ingestion=ingestions.index(row["ingestion_id"]),
            planned_s=row["planned_s"] - began_s,
            begun_s=row["begun_s"] - began_s,
            published_s=row["published_s"] - began_s,
            claims=row["attempts"],
        )
        for row in rows
    ]


def _count_rows(spark: SparkSession, tables: Sequence[str], load: Load) -> None:
    found = sum(spark.table(table_of(table)).count() for table in tables)
    expected = load.ingestions * (load.warm_up + load.batches) * load.files * load.records
    if found != expected:
        raise Miscounted(f"{found:,} rows were loaded, and {expected:,} are in the files")
