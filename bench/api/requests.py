"""How many run requests the API takes, while others look at runs and follow them."""

import json
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.api.stage import Stage, cpu_s
from bench.api.vegeta import Attack, attack
from tests.support.installation import ROOT

POLLS_PER_S = 50
FOLLOWERS = 50


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one rate. ``polls_ms``: latencies of the questions for runs, sorted."""

    rate: int
    attack: Attack
    polls_ms: tuple[float, ...]
    polls_refused: int
    listening: int
    api_cpu_share: float
    """Of its one core."""
    unsent: int
    """Rows left in the outbox when the last answer had come: more than a moment's worth, and the relay is behind."""


async def measure(stage: Stage, vegeta: Path, rate: int, seconds: float) -> Step:
    """So many run requests in a second, each for an ingestion of its own, so that each begins a run."""
    followed = await stage.runs(FOLLOWERS)
    asked = await stage.ingestions(round(rate * seconds))
    await stage.rested()
    audience = await create_subprocess_exec(
        sys.executable, "-m", "bench.api.audience", stage.url, str(seconds), str(POLLS_PER_S),
        cwd=ROOT, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    assert audience.stdin is not None
    audience.stdin.write("".join(f"{run} {ingestion}\n" for run, ingestion in followed).encode())
    audience.stdin.write_eof()
    before_s = cpu_s(stage.api)
    with TemporaryDirectory() as folder:
        came = await attack(vegeta, stage.url, asked, rate, Path(folder))
    used_s = cpu_s(stage.api) - before_s
    unsent = await stage.connection.fetchval("SELECT count(*) FROM control.outbox")
    out, _ = await audience.communicate()
    heard = json.loads(out)
    return Step(
        rate, came, tuple(heard["ms"]), heard["refused"], heard["listening"], used_s / came.took_s, unsent
    )  # fmt: skip
