"""One batch, two clients that publish it at the same moment (F20), on the real table: one of them wins, always.

Every round has a wap id of its own. In even rounds both clients publish the one staged snapshot; in odd rounds each has
a staged copy of its own, as two executors have that take each other for dead.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from libs.common.contracts.definition import Destination
from libs.common.errors import AutoloaderError
from libs.common.schema import Field, Struct
from services.executor.adapters.reading.json_lines import JsonLines
from services.executor.adapters.spark_sessions import BatchSession, SessionKey, open_session
from services.executor.adapters.spark_table import SparkTable
from services.executor.adapters.table_session import TableSession
from tests.faults.cases import BUCKET, SPARK_URL
from tests.faults.mode import Mode, mode
from tests.faults.negative.tables import AppendingTable
from tests.faults.tally import Faults
from tests.support.oracle import Verdict

pytestmark = [pytest.mark.faults, pytest.mark.requires_spark]

ROUNDS_PER_TABLE = 50  # a table's metadata grows with every snapshot, and each commit reads it
DUELS_AT_ONCE = 4  # each on a table of its own; the server has nothing to do for half of a duel
CALL_TIMEOUT_S = 120
ID = Struct((Field("id", "bigint"),))


@dataclass
class Duel:
    """Two clients and one table. ``wins`` counts the clients whose publish was not refused, by round."""

    clients: list[SparkTable]
    sessions: list[Any]
    table: str
    wins: Counter[int] = field(default_factory=Counter)

    async def fight(self, rounds: range) -> None:
        """Stages every round's copies, then publishes round after round, both clients at once."""
        await self.clients[0].create(ID)
        staged = await asyncio.to_thread(self._stage, rounds)
        for number in rounds:
            copies = staged[f"duel-{number}"]
            await asyncio.gather(
                self._publish(number, self.clients[0], copies[0]), self._publish(number, self.clients[1], copies[-1])
            )

    async def verdict(self, rounds: range) -> Verdict:
        """What a third reader finds, and whether each client can find out that the batch is in."""
        reader = self.sessions[2]

        def counted() -> dict[int, int]:
            reader.sql(f"REFRESH TABLE {self.table}").collect()
            rows = reader.sql(f"SELECT id, count(*) AS n FROM {self.table} GROUP BY id").collect()
            return {row["id"]: row["n"] for row in rows}

        counts = await asyncio.to_thread(counted)
        last = f"duel-{rounds[-1]}"
        told = [await client.published(last) for client in self.clients]
        problems = [f"client {n} does not find {last}" for n, found in enumerate(told) if found is None]
        problems += [f"round {n} was won {self.wins[n]} times" for n in rounds if self.wins[n] != 1]
        return Verdict(len(set(rounds) - counts.keys()), sum(n - 1 for n in counts.values()), tuple(problems))

    def _stage(self, rounds: range) -> dict[str, list[int]]:
        session = self.sessions[0]
        try:
            for number in rounds:
                session.conf.set("spark.wap.id", f"duel-{number}")
                for _ in range(1 + number % 2):
                    rows = session.range(number, number + 1, 1, 1)
                    rows.writeTo(self.table).option("snapshot-property.autoloader.wap-id", f"duel-{number}").append()
        finally:
            session.conf.unset("spark.wap.id")
        copies: dict[str, list[int]] = {}
        for row in session.sql(f"SELECT snapshot_id, summary['wap.id'] AS wap FROM {self.table}.snapshots").collect():
            copies.setdefault(row["wap"], []).append(row["snapshot_id"])
        return copies

    async def _publish(self, number: int, client: SparkTable, snapshot_id: int) -> None:
        try:
            await client.publish(snapshot_id)
        except AutoloaderError:
            return
        self.wins[number] += 1


@asynccontextmanager
async def duel(threads: ThreadPoolExecutor) -> AsyncIterator[Duel]:
    """A table of its own, three sessions, and in the control a table that publishes by plain append."""
    to = Destination(catalog="test_catalog", database="faults", table=f"duel_{uuid4().hex[:10]}")
    kind = AppendingTable if mode() is Mode.NEGATIVE else SparkTable
    key = SessionKey(SPARK_URL, BUCKET, None)
    sessions = [await asyncio.to_thread(open_session, key) for _ in range(3)]
    loans = [BatchSession(s, threads, CALL_TIMEOUT_S, key.scheme) for s in sessions[:2]]
    clients = [kind(TableSession(loan, SPARK_URL, to), JsonLines()) for loan in loans]
    try:
        yield Duel(clients, sessions, to.identifier)
    finally:
        await asyncio.to_thread(sessions[2].sql, f"DROP TABLE IF EXISTS {to.identifier} PURGE")
        for session in sessions:
            await asyncio.to_thread(session.stop)


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(
            20, marks=pytest.mark.fault("F20", "a batch is published by two clients at once, 20 times", quick=True)
        ),
        pytest.param(1000, marks=pytest.mark.fault("F20", "a batch is published by two clients at once, 1,000 times")),
        pytest.param(
            6, marks=pytest.mark.fault("F20", "a batch is published by two clients at once, 6 times", negative=True)
        ),
    ],
)
async def test_a_batch_that_two_clients_publish_at_once_is_published_once(faults: Faults, rounds: int) -> None:
    """Each round has one winner; the other is refused; the row is there once."""
    turns = asyncio.Semaphore(DUELS_AT_ONCE)

    async def fought(numbers: range) -> tuple[Verdict, int]:
        async with turns, duel(threads) as fight:
            await fight.fight(numbers)
            return await fight.verdict(numbers), len(fight.wins)

    with ThreadPoolExecutor(2 * DUELS_AT_ONCE) as threads:
        tables = [range(n, min(n + ROUNDS_PER_TABLE, rounds)) for n in range(0, rounds, ROUNDS_PER_TABLE)]
        fights = await asyncio.gather(*(fought(numbers) for numbers in tables))
    faults.inject(rounds)
    verdicts = [verdict for verdict, _ in fights]
    faults.judged(
        Verdict(
            sum(v.lost for v in verdicts),
            sum(v.duplicated for v in verdicts),
            tuple(problem for v in verdicts for problem in v.problems),
        )
    )
    assert rounds == sum(published for _, published in fights)
