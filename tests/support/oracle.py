"""The one judge of every fault case: what a table, a ledger and a topic must look like when the dust has settled.

    verdict = await Oracle(autoloader, spark).judge(ingestion_id, table, expected=range(200))
    assert verdict.is_clean, verdict

It reads; it changes nothing. Numbers of invariants are those of ARCHITECTURE.md.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text

from libs.common.contracts.codec import decode
from libs.common.contracts.events import RunCompleted, RunFact
from libs.common.contracts.topics import RUN_STATUS
from libs.common.storage.engine import Database
from services.executor.domain.evidence import ROWS
from tests.support.eventually import eventually
from tests.support.installation import Installation

QUIET_S = 20.0
_IDS_IN_A_MESSAGE_MAX = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """``lost`` rows of the source are not in the table; ``duplicated`` ones are there too often; ``problems`` is
    whatever else is not as it must be."""

    lost: int = 0
    duplicated: int = 0
    problems: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.problems)


Ancestry = Mapping[str, Sequence[int]]
"""Of one table: the rows that each wap id added, once for each time that it is there."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A batch, as the ledger has it when everything is at rest. ``rows``: None unless published."""

    generation: int
    wap_id: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A refresh that was done, as the ledger has it. ``undoes`` is the one whose old table it brought back; ``builds``
    is the table that it had loaded aside, and ``completes`` the refresh whose table it put in place of the old rows."""

    id: str
    mode: str
    from_generation: int
    to_generation: int
    kept_as: str | None
    undoes: str | None = None
    builds: str | None = None
    completes: str | None = None


_TABLE_STAYS = frozenset({"clear_history", "delete", "swap"})


class Generations:
    """What became of each generation of a table: an undo brings one back, under a new number. One that was built aside
    has no table any more when its rows are in another one, or when it was given up (``dropped``)."""

    def __init__(self, refreshes: Sequence[Refreshed], table: str) -> None:
        swapped = {r.completes for r in refreshes if r.completes}
        came_back = {r.undoes: r.to_generation for r in refreshes if r.undoes and r.undoes not in swapped}
        self._numbers = {r.from_generation: came_back[r.id] for r in refreshes if r.id in came_back}
        latest = max((r.to_generation for r in refreshes), default=1)
        self.tables = {
            **{self.now(r.from_generation): r.kept_as for r in refreshes if r.kept_as and r.id not in came_back},
            latest: table,
        }
        """Where the table of each is, by today's numbers. One that was ended while its table stayed shares its
        successor's."""
        built = {r.id: r for r in refreshes if r.builds}
        for r in sorted(refreshes, key=lambda r: r.to_generation, reverse=True):
            if r.mode in _TABLE_STAYS or r.id in swapped or r.undoes in swapped:
                self.tables[self.now(r.from_generation)] = self.tables[self.now(r.to_generation)]
            elif r.builds and r.id not in came_back:
                self.tables |= {self.now(r.from_generation): table, r.to_generation: r.builds}
        self.dropped = {r.to_generation for r in built.values() if r.id in swapped or r.id in came_back}
        for generation in self.dropped:
            self.tables.pop(generation, None)

    def belongs(self, planned: int, generation: int) -> bool:
        """Whether rows of a batch that was planned in one generation may be in the table of another."""
        return self.tables.get(self.now(planned)) == self.tables[generation]

    def now(self, generation: int) -> int:
        """Today's number of what was planned under this one."""
        while generation in self._numbers:
            generation = self._numbers[generation]
        return generation


def broken_in_tables(
    ingestion_id: str, ancestries: Mapping[int, Ancestry], belongs: Callable[[int, int], bool]
) -> list[str]:
    """I2 and I6 in the tables of all generations. An empty burn of an older generation does no harm."""
    twice = [
        f"I2: {wap_id} is {len(times)} times in the ancestry"
        for ancestry in ancestries.values()
        for wap_id, times in ancestry.items()
        if len(times) > 1
    ]
    astray = [
        f"I6: {wap_id} is in the table of generation {generation}"
        for generation, ancestry in ancestries.items()
        for wap_id, times in ancestry.items()
        if wap_id.startswith(f"al1:{ingestion_id}:")
        and not belongs(int(wap_id.split(":")[2]), generation)
        and any(times)
    ]
    return twice + astray


def broken_between(batches: Iterable[Loaded], ancestries: Mapping[int, Ancestry]) -> list[str]:
    """I4 and I7: ledger and table name the same batches, with the same rows."""
    problems: list[str] = []
    for batch in batches:
        ancestry = ancestries.get(batch.generation, {})
        there = sum(ancestry.get(batch.wap_id, ()))
        if batch.rows is None and there:
            problems.append(f"I4: {batch.wap_id} was burned, and {there} rows of it are in the table")
        if batch.rows is not None and (batch.wap_id not in ancestry or there != batch.rows):
            problems.append(f"I4, I7: {batch.wap_id}: {batch.rows} rows in the ledger, {there} in the table")
    return problems


@dataclass(frozen=True, slots=True)
class Oracle:
    """Judges tables of one installation. ``spark`` is a session of the test's own."""

    autoloader: Installation
    spark: Any

    async def judge(
        self,
        ingestion_id: str,
        table: str,
        expected: Collection[int],
        *,
        foreign: Collection[int] = (),
        history_is_whole: bool = True,
        continues: Sequence[str] = (),
    ) -> Verdict:
        """Waits until the outbox is empty, then looks at everything.

        Args:
            table: catalog.database.table; its column ``id`` says which source row a row is.
            expected: the ids that the source's files hold.
            foreign: ids that other writers added.
            history_is_whole: nobody expired or rewrote snapshots, so each published batch can be found in the ancestry.
            continues: tables that new-only refreshes set aside: their rows count as the table's.
        """
        problems: list[str] = []
        async with _database(self.autoloader) as database:
            problems += await self._unfinished(database, ingestion_id)
            problems += await _broken_in(database, ingestion_id)
            problems += await self._broken_between(database, ingestion_id, table, history_is_whole=history_is_whole)
            problems += await self._gaps(database, ingestion_id)
            problems += await self._told_secrets(database)
        counts = await self.counts(table, *continues)
        wanted = {*expected, *foreign}
        if strange := counts.keys() - wanted:
            problems.append(f"{len(strange)} rows that no file holds, as in {_some(strange)}")
        for each in (table, *continues):
            twice = await self._sql(f"SELECT file_path FROM {each}.files GROUP BY file_path HAVING count(*) > 1")
            problems += [f"the table lists a data file twice: {row['file_path']}" for row in twice]
        return Verdict(
            lost=len(wanted - counts.keys()),
            duplicated=sum(n - 1 for n in counts.values()),
            problems=tuple(problems),
        )

    async def counts(self, *tables: str) -> dict[int, int]:
        """How often each id is in these tables, taken together."""
        together = " UNION ALL ".join(f"SELECT id FROM {table}" for table in tables)
        rows = await self._sql(f"SELECT id, count(*) AS n FROM ({together}) GROUP BY id")
        return {row["id"]: row["n"] for row in rows}

    async def _sql(self, statement: str) -> Sequence[Any]:
        return await asyncio.to_thread(lambda: self.spark.sql(statement).collect())

    async def _unfinished(self, database: Database, ingestion_id: str) -> list[str]:
        """Nothing of the ingestion waits for anybody any more."""
        left: list[str] = []

        async def is_quiet() -> bool:
            left[:] = await _column(
                database,
                "SELECT 'batch ' || id || ' is ' || state FROM ledger.batch "
                "WHERE ingestion_id = :ingestion AND state NOT IN ('published', 'burned') "
                "UNION ALL SELECT 'scan ' || run_id || ' is ' || state FROM ledger.scan "
                "WHERE ingestion_id = :ingestion AND state <> 'ended' "
                "UNION ALL SELECT 'run ' || id || ' is ' || status FROM control.run "
                "WHERE ingestion_id = :ingestion AND ended_at IS NULL "
                "UNION ALL SELECT 'refresh ' || id || ' is ' || phase FROM ledger.refresh "
                "WHERE ingestion_id = :ingestion AND phase <> 'ended' "
                "UNION ALL SELECT 'the outbox holds message ' || id FROM control.outbox",
                ingestion_id,
            )
            return not left

        try:
            await eventually(is_quiet, QUIET_S)
        except AssertionError:
            return [f"unfinished: {it}" for it in left]
        return []

    async def _broken_between(
        self, database: Database, ingestion_id: str, table: str, *, history_is_whole: bool
    ) -> list[str]:
        """I2, I6, and the table's side of I4 and I7, for the table of each generation: its ancestry and the ledger name
        the same batches, with the same rows."""
        generations = Generations(await _refreshes(database, ingestion_id), table)
        ancestries = {generation: await self._ancestry(name) for generation, name in generations.tables.items()}
        problems = broken_in_tables(ingestion_id, ancestries, generations.belongs)
        if history_is_whole:
            batches = [b for b in await _batches(database, ingestion_id) if b.generation not in generations.dropped]
            problems += broken_between(batches, ancestries)
        return problems

    async def _ancestry(self, table: str) -> Ancestry:
        ancestry = await self._sql(
            "SELECT s.summary FROM (SELECT DISTINCT snapshot_id FROM "
            f"{table}.history WHERE is_current_ancestor) h JOIN {table}.snapshots s ON s.snapshot_id = h.snapshot_id"
        )
        seen: dict[str, list[int]] = defaultdict(list)
        for row in ancestry:
            summary = row["summary"]
            if wap_id := summary.get("published-wap-id") or summary.get("wap.id") or summary.get("autoloader.wap-id"):
                # Where rows took the place of others, Iceberg also counts those that only moved.
                seen[wap_id].append(int(summary.get(ROWS) or summary.get("added-records", 0)))
        return seen

    async def _gaps(self, database: Database, ingestion_id: str) -> list[str]:
        """I8, as readers of the topic see it: after each first appearance comes the next seq, and the end is last."""
        async with database.read() as connection:
            rows = await connection.execute(
                text(
                    "SELECT run_id, seq FROM ledger.scan WHERE ingestion_id = :ingestion "
                    "AND run_id NOT IN (SELECT id FROM ledger.refresh)"  # a swap's rows are no run's
                ),
                {"ingestion": ingestion_id},
            )
            last = {row.run_id: row.seq for row in rows}
        facts: dict[Any, dict[int, RunFact]] = defaultdict(dict)
        for raw in await _run_status(self.autoloader):
            message = decode(raw).message
            assert isinstance(message, RunFact)
            facts[message.run_id].setdefault(message.seq, message)
        problems = []
        for run_id, seq in last.items():
            told = facts[run_id]
            if list(told) != list(range(1, seq + 1)):
                problems.append(f"I8: run {run_id} gave out seq 1 to {seq}, and the topic has {list(told)}")
            ends = [n for n, fact in told.items() if isinstance(fact, RunCompleted)]
            if ends != [seq]:
                problems.append(f"I8: run {run_id} ended at {ends}, its last seq is {seq}")
        return problems

    async def _told_secrets(self, database: Database) -> list[str]:
        """No secret of the installation is in a log, an event or an error."""
        logs = [line for service in self.autoloader.running for line in service.log]
        events = [raw.decode(errors="replace") for raw in await _run_status(self.autoloader)]
        errors = await _column(database, "SELECT message || ' ' || hint FROM control.run_error")
        return [
            f"a secret is told in: {line.replace(secret, '***')[:200]}"
            for secret in secrets_of(self.autoloader)
            for line in (*logs, *events, *errors)
            if secret in line
        ]


def secrets_of(autoloader: Installation) -> tuple[str, ...]:
    """What must never come out. (The store's secret is its user's name as well, so it cannot be looked for.)"""
    password = urlsplit(autoloader.environment["DATABASE_URL"]).password
    return tuple(filter(None, (autoloader.environment["AUTOLOADER_SECRET_KEY"], password)))


async def _broken_in(database: Database, ingestion_id: str) -> list[str]:
    """I1, I4, I7 and I8, as far as the ledger and the projection of runs can break them among themselves."""
    return await _column(
        database,
        # I1
        "SELECT 'I1: ' || key || ' has ' || count(*) || ' live versions' FROM ledger.file "
        "WHERE ingestion_id = :ingestion AND state IN ('discovered', 'batched', 'committed') AND NOT overwritten "
        "GROUP BY generation, key_digest, key HAVING count(*) > 1 "
        # I4
        "UNION ALL SELECT 'I4: ' || f.key || ' is ' || f.state || ', its batch is ' || coalesce(b.state, 'none') "
        "FROM ledger.file f LEFT JOIN ledger.batch b ON b.id = f.batch_id WHERE f.ingestion_id = :ingestion "
        "AND (f.state = 'committed') <> (coalesce(b.state, 'none') = 'published') "
        "AND NOT (f.state = 'superseded' AND EXISTS (SELECT FROM ledger.replacement r WHERE r.state = 'committed' "
        "AND (r.ingestion_id, r.generation, r.key_digest) = (f.ingestion_id, f.generation, f.key_digest))) "
        # I7, per batch
        "UNION ALL SELECT 'I7: batch ' || b.id || ' has ' || b.row_count || ' rows, its files ' || "
        "coalesce(sum(f.row_count)::text, 'nobody knows how many') "
        "FROM ledger.batch b JOIN ledger.file f ON f.batch_id = b.id "
        "WHERE b.ingestion_id = :ingestion AND b.state = 'published' "
        "GROUP BY b.id, b.row_count HAVING b.row_count IS DISTINCT FROM sum(f.row_count) "
        # I7, per run
        "UNION ALL SELECT 'I7: run ' || s.run_id || ' tells of ' || (s.totals->>'records_ingested') || ' rows, its "
        "batches have ' || coalesce(sum(b.row_count), 0) FROM ledger.scan s "
        "LEFT JOIN ledger.batch b ON b.run_id = s.run_id AND b.state = 'published' WHERE s.ingestion_id = :ingestion "
        "GROUP BY s.run_id, s.totals "
        "HAVING coalesce((s.totals->>'records_ingested')::bigint, 0) <> coalesce(sum(b.row_count), 0) "
        # I8
        "UNION ALL SELECT 'I8: run ' || r.id || ' is ' || r.status || ' at ' || r.seq || ', the ledger says ' || "
        "coalesce(s.outcome, 'nothing') || ' at ' || s.seq FROM control.run r JOIN ledger.scan s ON s.run_id = r.id "
        "WHERE r.ingestion_id = :ingestion AND r.ended_at IS NOT NULL AND r.status IS DISTINCT FROM s.outcome",
        ingestion_id,
    )


async def _batches(database: Database, ingestion_id: str) -> list[Loaded]:
    async with database.read() as connection:
        batches = await connection.execute(
            text(
                "SELECT b.generation, 'al1:' || b.ingestion_id || ':' || s.generation || ':' || b.id AS wap_id, "
                "CASE WHEN b.state = 'published' THEN b.row_count END AS rows "
                "FROM ledger.batch b JOIN ledger.scan s ON s.run_id = b.run_id WHERE b.ingestion_id = :ingestion"
            ),
            {"ingestion": ingestion_id},
        )
        return [Loaded(batch.generation, batch.wap_id, batch.rows) for batch in batches]


async def _refreshes(database: Database, ingestion_id: str) -> list[Refreshed]:
    async with database.read() as connection:
        rows = await connection.execute(
            text(
                "SELECT id::text, mode, from_generation, to_generation, kept_as, undoes::text, builds, completes::text "
                "FROM ledger.refresh WHERE ingestion_id = :ingestion AND told_problem IS NULL"
            ),
            {"ingestion": ingestion_id},
        )
        return [Refreshed(*row) for row in rows]


@asynccontextmanager
async def _database(autoloader: Installation) -> AsyncIterator[Database]:
    database = Database(autoloader.environment["DATABASE_URL"], pool_size=1)
    try:
        yield database
    finally:
        await database.close()


async def _column(database: Database, query: str, ingestion_id: str | None = None) -> list[str]:
    async with database.read() as connection:
        rows = await connection.execute(text(query), {"ingestion": ingestion_id} if ingestion_id else {})
        return [str(row[0]) for row in rows]


async def _run_status(autoloader: Installation) -> list[bytes]:
    """Every message of the run-status topic so far, each partition in its order."""
    name = RUN_STATUS.name(autoloader.environment["AUTOLOADER_TOPIC_PREFIX"])
    consumer = AIOKafkaConsumer(
        bootstrap_servers=autoloader.environment["AUTOLOADER_KAFKA_BOOTSTRAP"], enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(name, n) for n in range(RUN_STATUS.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[bytes] = []
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                found += [message.value for message in messages]
        return found
    finally:
        await consumer.stop()


def _some(ids: Iterable[int]) -> list[int]:
    return sorted(ids)[:_IDS_IN_A_MESSAGE_MAX]
