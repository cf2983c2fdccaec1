"""The end of a soak: no fault any more, one last run of each ingestion, and what the one oracle says of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import text

from libs.common.storage.engine import Database
from tests.soak.lives import Life, Refreshed, lives
from tests.soak.source import DATABASE, Source
from tests.soak.world import World
from tests.support.databases import server_url
from tests.support.oracle import Oracle

SETTLES_WITHIN_S = 480.0


@dataclass
class Judgement:
    """What came of one ingestion."""

    name: str
    rows: int = 0
    files: int = 0
    runs: int = 0
    refreshes: int = 0
    lost: int = 0
    duplicated: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.problems)

    def line(self) -> str:
        return (
            f"{'ok  ' if self.is_clean else 'FAIL'} {self.name}: {self.files} files, {self.rows} rows, "
            f"{self.runs} runs, {self.refreshes} refreshes, lost {self.lost}, duplicated {self.duplicated}, "
            f"other problems {len(self.problems)}"
        )


async def last_runs(world: World, judgements: dict[str, Judgement]) -> None:
    """One run of each, which must be a success, with nobody's help."""

    async def of(source: Source) -> None:
        problems = judgements[source.name].problems
        try:
            async with asyncio.timeout(SETTLES_WITHIN_S):
                run = await source.one_last_run()
                if run["status"] != "success":
                    problems.append(f"the last run is {run['status']}: {run['errors']}")
                audit = await source.audit()
        except TimeoutError:
            runs = await source.api.get(f"/{source.ingestion_id}/runs")
            problems.append(f"not at rest after {SETTLES_WITHIN_S:.0f} s: {runs[:2]}")
            return
        except AssertionError as refused:
            problems.append(f"a hand is needed: {refused}")
            return
        if audit["status"] != "done" or not audit["report"]["clean"]:
            problems.append(f"the last audit: {audit}")

    await asyncio.gather(*(of(source) for source in world.sources))


async def judge(world: World, source: Source, judgement: Judgement) -> None:
    """Adds to ``judgement`` whatever the oracle, the older tables and the ingestion itself have to say."""
    oracle = Oracle(world.autoloader, world.spark)
    *older, present = await _lives(world, source)
    elsewhere: set[int] = set()
    for life in older:
        elsewhere |= await _judge_older(oracle, source, life, judgement)
    there = await oracle.counts(*present.tables)
    verdict = await oracle.judge(
        source.ingestion_id,
        source.table,
        source.book.expected(present.began, there.keys()),
        foreign=source.book.expected_foreign(there.keys(), elsewhere),
        continues=present.tables[:-1],
    )
    judgement.lost += verdict.lost
    judgement.duplicated += verdict.duplicated
    judgement.problems += verdict.problems
    judgement.problems += source.audits
    ingestion = await source.api.get(f"/{source.ingestion_id}")
    if halt := ingestion["metadata"]["halt"]:
        judgement.problems.append(f"halted: {halt}")
    judgement.rows, judgement.files = source.book.rows, len(source.book.files)


async def _judge_older(oracle: Oracle, source: Source, life: Life, judgement: Judgement) -> set[int]:
    """Tables that a full refresh set aside, maybe half loaded: no row twice, and no row that never was. Returns the
    foreign rows in them."""
    if not life.tables:
        return set()
    counts = await oracle.counts(*life.tables)
    judgement.duplicated += sum(n - 1 for n in counts.values())
    if strange := counts.keys() - source.book.known(counts.keys()):
        judgement.problems.append(f"{len(strange)} rows in {life.tables} that no file held: {sorted(strange)[:5]}")
    foreign = set(counts) & (source.book.foreign | source.book.doubtful)
    if mixed := counts.keys() - source.book.expected(life.began, counts.keys()) - foreign:
        judgement.problems.append(f"{len(mixed)} rows in {life.tables} of two versions: {sorted(mixed)[:5]}")
    return foreign


async def _lives(world: World, source: Source) -> tuple[Life, ...]:
    async with database(world) as there, there.read() as connection:
        rows = await connection.execute(
            text("SELECT id, from_generation FROM control.refresh WHERE ingestion_id = :id AND status = 'success'"),
            {"id": source.ingestion_id},
        )
        asked = source.refreshes
        happened = [
            Refreshed(row.from_generation, asked[str(row.id)][0] == "full", asked[str(row.id)][1]) for row in rows
        ]
    shown = await world.sql(f"SHOW TABLES IN test_catalog.{DATABASE} LIKE '{source.name}__g*'")
    return lives(source.table, [f"test_catalog.{DATABASE}.{row['tableName']}" for row in shown], happened)


@asynccontextmanager
async def database(world: World) -> AsyncIterator[Database]:
    """The services' database, past the proxy."""
    path = urlsplit(world.autoloader.environment["DATABASE_URL"]).path
    opened = Database(urlunsplit(urlsplit(server_url())._replace(path=path)), pool_size=1)
    try:
        yield opened
    finally:
        await opened.close()


async def runs_of(world: World, source: Source) -> Counter[str]:
    """Runs by how they ended, with the codes of what they complained about."""
    async with database(world) as there, there.read() as connection:
        rows = await connection.execute(
            text(
                "SELECT r.status, coalesce((SELECT string_agg(DISTINCT e.error_type, ', ') FROM control.run_error e "
                "WHERE e.run_id = r.id), '') AS why, r.ended_at IS NOT NULL AS is_over FROM control.run r "
                "WHERE r.ingestion_id = :id"
            ),
            {"id": source.ingestion_id},
        )
        return Counter(f"{row.status} ({row.why})" if row.why else row.status for row in rows if row.is_over)


async def loaded(world: World) -> tuple[int, int]:
    """Rows committed so far in all generations, and runs that have ended."""
    async with database(world) as there, there.read() as connection:
        rows: Any = await connection.scalar(
            text("SELECT coalesce(sum(row_count), 0) FROM ledger.batch WHERE state = 'published'")
        )
        runs: Any = await connection.scalar(text("SELECT count(*) FROM control.run WHERE ended_at IS NOT NULL"))
        return int(rows), int(runs)
