"""How many run requests the API takes, while others look at runs and follow them."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.api.stage import Stage, cpu_s
from bench.api.vegeta import Attack, attack
from tests.support.installation import ROOT


@dataclass(frozen=True, slots=True)
class Beside:
    """What goes on beside the run requests."""

    polls_per_s: int = 50
    followers: int = 50


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one rate. ``polls_ms``: latencies of the questions for runs, sorted."""

    rate: int
    beside: Beside
    attack: Attack
    polls_ms: tuple[float, ...]
    polls_refused: int
    listening: int
    api_cpu_share: float
    """Of its one core."""
    unsent: int
    """Rows left in the outbox when the last answer had come: more than a moment's worth, and the relay is behind."""


async def measure(stage: Stage, vegeta: Path, rate: int, seconds: float, beside: Beside) -> Step:
    """So many run requests in a second, each for an ingestion of its own, so that each begins a run. With a rate of 0
    only what is beside them."""
    followed = await stage.runs(max(beside.followers, 1))
    asked = await stage.ingestions(round(rate * seconds))
    await stage.rested()
    audience = await create_subprocess_exec(
        sys.executable, "-m", "bench.api.audience", stage.url, str(seconds), str(beside.polls_per_s),
        str(beside.followers), cwd=ROOT, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    assert audience.stdin is not None
    assert audience.stdout is not None
    audience.stdin.write("".join(f"{run} {ingestion}\n" for run, ingestion in followed).encode())
    audience.stdin.write_eof()
    await audience.stdout.readline()  # it attends
    before_s, began = cpu_s(stage.api), time.monotonic()
    with TemporaryDirectory() as folder:
        came = await attack(vegeta, stage.url, asked, rate, Path(folder)) if rate else await _none(seconds)
    unsent = await stage.connection.fetchval("SELECT count(*) FROM control.outbox")
    out, _ = await audience.communicate()
    used_s, took_s = cpu_s(stage.api) - before_s, time.monotonic() - began
    heard = json.loads(out)
    return Step(
        rate, beside, came, tuple(heard["ms"]), heard["refused"], heard["listening"], used_s / took_s, unsent
    )  # fmt: skip


async def _none(seconds: float) -> Attack:
    await asyncio.sleep(seconds)
    return Attack(seconds, Counter(), ())
