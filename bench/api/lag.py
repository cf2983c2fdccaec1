"""How late the API shows what happens to runs: from a fact's way to Kafka until a question to the API would see it."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from dataclasses import dataclass
from uuid import UUID

from bench.api.stage import Stage, cpu_s
from bench.api.stories import FACTS
from tests.support.eventually import eventually
from tests.support.installation import ROOT

LOOK_EVERY_S = 0.02
SETTLES_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Lag:
    """``ms``: of each fact, sorted. ``api_cpu_ms``: what one fact cost the API."""

    facts: int
    rate: float
    ms: tuple[float, ...]
    api_cpu_ms: float
    sent_after_s: float
    """From the last fact until the outbox was empty."""


async def measure(stage: Stage, rate: int, seconds: float, at_once: int) -> Lag:
    """Facts of many runs, ``rate`` in a second."""
    runs = await stage.runs(max(at_once, round(rate * seconds / FACTS)))
    await stage.rested()
    environment = stage.autoloader.environment
    before_s = cpu_s(stage.api)
    teller = await create_subprocess_exec(
        sys.executable, "-m", "bench.api.teller",
        environment["AUTOLOADER_KAFKA_BOOTSTRAP"], environment["AUTOLOADER_TOPIC_PREFIX"], str(rate), str(at_once),
        cwd=ROOT, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    seen: dict[UUID, list[tuple[int, float]]] = {run_id: [] for run_id, _ in runs}
    watching = asyncio.create_task(_watch(stage, seen))
    out, _ = await teller.communicate("".join(f"{run} {ingestion}\n" for run, ingestion in runs).encode())
    told = json.loads(out)
    async with asyncio.timeout(SETTLES_WITHIN_S):
        await watching
        settled = time.time()
        await eventually(stage.is_all_sent, SETTLES_WITHIN_S, what="the outbox is empty")
    used_s = cpu_s(stage.api) - before_s
    facts = len(told["sent"])
    ms = sorted((_first(seen[UUID(run)], seq) - at) * 1000 for run, seq, at in told["sent"])
    return Lag(facts, facts / told["took_s"], tuple(ms), 1000 * used_s / facts, time.time() - settled)


async def _watch(stage: Stage, seen: dict[UUID, list[tuple[int, float]]]) -> None:
    """Until all runs are over: when was which seq there? Late by one look at most."""
    under_way = set(seen)
    while under_way:
        rows = await stage.connection.fetch("SELECT id, seq, ended_at FROM control.run WHERE id = ANY($1)", under_way)
        now = time.time()
        for row in rows:
            known = seen[row["id"]]
            if row["seq"] > (known[-1][0] if known else 0):
                known.append((row["seq"], now))
        under_way -= {row["id"] for row in rows if row["ended_at"] is not None}
        await asyncio.sleep(LOOK_EVERY_S)


def _first(known: list[tuple[int, float]], seq: int) -> float:
    return next(at for seen, at in known if seen >= seq)
