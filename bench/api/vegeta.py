"""vegeta (https://github.com/tsenart/vegeta, MIT) asks at a constant rate, whether or not answers come in time."""

import base64
import json
import os
import shutil
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from devstack.commands import Say, run
from devstack.errors import DevstackError
from devstack.fetch.once import fetch_once
from devstack.pins import pins
from devstack.places import cache_dir

_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Attack:
    """What came of so many requests. ``answers`` counts them by what they were answered with; ``ms`` are their
    latencies, sorted, from the moment at which each was due."""

    took_s: float
    answers: Counter[str]
    ms: tuple[float, ...]

    @property
    def refused(self) -> int:
        """All that is no new run."""
        return self.answers.total() - self.answers["accepted"]


async def fetch_vegeta(say: Say) -> Path:
    """Built once by Go from its module, as MinIO is; the path of the binary."""

    async def make(folder: Path) -> None:
        go = shutil.which("go")
        if go is None:
            raise DevstackError("vegeta is built with Go and there is none on the PATH: install Go")
        await run(
            "building vegeta with Go",
            [go, "install", "-trimpath", "-ldflags=-s -w", f"{pins().vegeta_module}@{pins().vegeta_version}"],
            environment={**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": ""},
            directory=folder,
        )

    return await fetch_once(cache_dir() / f"vegeta-{pins().vegeta_version}", make, say) / "vegeta"


async def attack(vegeta: Path, url: str, ingestions: Sequence[UUID], rate: int, folder: Path) -> Attack:
    """One run request for each of ``ingestions``, ``rate`` in a second, each with an Idempotency-Key of its own."""
    targets, results = folder / "targets.json", folder / "results.bin"
    with targets.open("w") as file:
        for ingestion_id in ingestions:
            header = {"Idempotency-Key": [uuid4().hex]}
            file.write(json.dumps({"method": "POST", "url": f"{url}/{ingestion_id}/run", "header": header}) + "\n")
    seconds = len(ingestions) / rate
    await _vegeta(
        vegeta, "attack", "-format=json", f"-targets={targets}", f"-rate={rate}/1s", f"-duration={seconds:.3f}s",
        f"-timeout={_TIMEOUT_S}s", "-connections=64", f"-output={results}",
    )  # fmt: skip
    lines = [json.loads(line) for line in (await _vegeta(vegeta, "encode", "-to=json", str(results))).splitlines()]
    return Attack(seconds, Counter(map(_word, lines)), tuple(sorted(line["latency"] / 1e6 for line in lines)))


def _word(result: dict[str, object]) -> str:
    """accepted: a new run, sent off; queued: it waits, or is another's; else the status, or why there was none."""
    if result["code"] == 202:
        body = json.loads(base64.b64decode(str(result["body"])))
        return "queued" if body["queued"] else "accepted"
    return str(result["code"] or str(result["error"]).rpartition(": ")[2])


async def _vegeta(vegeta: Path, *arguments: str) -> bytes:
    process = await create_subprocess_exec(vegeta, *arguments, stdout=PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, f"vegeta {arguments[0]} ended with {process.returncode}"
    return out
