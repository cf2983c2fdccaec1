"""``make bench-api``: how many run requests the API takes on one core, and how late it shows what happens to runs.

    python -m bench.api [--rates 50,100,…] [--facts 100,300,…] [--seconds 10] [--json FILE]
                        [--all] [--polls 50] [--followers 50]

Needs two cores. First run requests at constant rates, beside 50 status polls a second and 50 followers; the search ends
at the first rate whose p99 is above 100 ms. Then facts of many runs at constant rates, until one is seen later than
1 s (p99). Scanner and executor do not run: see ``stage``.

To tell what costs what: ``--all`` goes through all rates, however late the answers come; a rate of 0 is no run request
at all; ``--polls 0`` and ``--followers 0`` leave the others out. ``--rates ""`` and ``--facts ""`` leave out a half.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.api import lag, requests
from bench.api.stage import stage
from bench.api.vegeta import fetch_vegeta

REQUESTS_P99_MS = 100.0
LAG_P99_MS = 1000.0
RUNS_AT_ONCE = 400


async def main() -> None:
    asked = _arguments()
    vegeta = await fetch_vegeta(print)
    found: dict[str, list[Any]] = {"requests": [], "facts": []}
    async with stage() as here:
        beside = requests.Beside(asked.polls, asked.followers)
        await requests.measure(here, vegeta, 50, 3, beside)  # to warm up
        for rate in asked.rates:
            came = await requests.measure(here, vegeta, rate, asked.seconds, beside)
            found["requests"].append(step := _told_requests(came))
            if step["p99_ms"] > REQUESTS_P99_MS and not asked.all:
                break
        for rate in asked.facts:
            late = await lag.measure(here, rate, asked.seconds, min(rate, RUNS_AT_ONCE))
            found["facts"].append(step := _told_lag(late))
            if step["p99_ms"] > LAG_P99_MS and not asked.all:
                break
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


def _told_requests(step: requests.Step) -> dict[str, Any]:
    """Prints it; returns what is stored."""
    polls_p99 = quantile(step.polls_ms, 0.99)
    print(f"{step.rate:>5} requests/s  {_line(step.attack.ms)}  {dict(step.attack.answers)}")
    print(
        f"       API {step.api_cpu_share:.1%} of its core; {len(step.polls_ms)} polls p99 {polls_p99:.0f} ms, "
        f"{step.polls_refused} refused; {step.listening} followers; {step.unsent} rows unsent",
        flush=True,
    )
    known = {"polls_p99_ms": polls_p99, **_figures(step.attack.ms), "answers": dict(step.attack.answers)}
    return {**{k: v for k, v in asdict(step).items() if k not in ("attack", "polls_ms")}, **known}


def _told_lag(late: lag.Lag) -> dict[str, Any]:
    """As above."""
    print(f"{late.rate:>5.0f} facts/s  {_line(late.ms)}  {late.api_cpu_ms:.2f} ms of the API's core each", flush=True)
    return {**{k: v for k, v in asdict(late).items() if k != "ms"}, **_figures(late.ms)}


def _figures(ms: Sequence[float]) -> dict[str, float]:
    return {"p50_ms": quantile(ms, 0.5), "p99_ms": quantile(ms, 0.99), "max_ms": quantile(ms, 1)}


def _line(ms: Sequence[float]) -> str:
    return f"p50 {quantile(ms, 0.5):.0f}  p99 {quantile(ms, 0.99):.0f}  max {quantile(ms, 1):.0f} ms"


def quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values; 0 if there are none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.api")
    parser.add_argument("--rates", type=_numbers, default=[25, 50, 75, 100, 150, 200, 250, 300, 400])
    parser.add_argument("--facts", type=_numbers, default=[100, 300, 600, 1000, 1500])
    parser.add_argument("--all", action="store_true", help="go on when answers come late")
    parser.add_argument("--polls", type=int, default=50, help="status polls in a second")
    parser.add_argument("--followers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    asyncio.run(main())
