"""A process that asks how runs are, and follows them, while others are asked for.

    python -m bench.api.audience URL SECONDS POLLS_PER_S FOLLOWERS < runs

``FOLLOWERS`` of the ``runs`` (lines of a run's id and its ingestion's) have one each; all are asked for in turn.
Prints ``attending`` when all followers have been answered: the measurement begins then. Prints at the end, as JSON, the
latencies of the answers in milliseconds, sorted, how many questions were refused, and how many followers still
listened.
"""

import asyncio
import json
import sys
import time

import httpx

_TIMEOUT_S = 10.0


async def attend(url: str, seconds: float, polls_per_s: float, followers_max: int, runs: list[list[str]]) -> None:
    """Prints what came of it."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, limits=limits, trust_env=False) as client:
        paths = [f"{url}/{ingestion}/runs/{run}" for run, ingestion in runs]
        answered = [asyncio.Event() for _ in paths[:followers_max]]
        followers = [asyncio.create_task(_follow(client, *each)) for each in zip(paths, answered, strict=False)]
        await asyncio.gather(*(each.wait() for each in answered))
        print("attending", flush=True)
        ms: list[float] = []
        refused = 0
        polls: set[asyncio.Task[float | None]] = set()
        began = time.monotonic()
        for number in range(int(seconds * polls_per_s)):
            await asyncio.sleep(max(0.0, began + number / polls_per_s - time.monotonic()))
            polls.add(asyncio.create_task(_ask(client, paths[number % len(paths)])))
        for took in await asyncio.gather(*polls):
            if took is None:
                refused += 1
            else:
                ms.append(took)
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        listening = sum(not follower.done() for follower in followers)
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
    json.dump({"ms": sorted(ms), "refused": refused, "listening": listening}, sys.stdout)


async def _ask(client: httpx.AsyncClient, path: str) -> float | None:
    """Milliseconds; None if it was not answered with 200."""
    began = time.monotonic()
    try:
        answer = await client.get(path)
    except httpx.TransportError:
        return None
    return (time.monotonic() - began) * 1000 if answer.status_code == 200 else None


async def _follow(client: httpx.AsyncClient, path: str, answered: asyncio.Event) -> None:
    try:
        async with client.stream("GET", f"{path}/events", timeout=None) as response:
            response.raise_for_status()
            answered.set()
            async for _ in response.aiter_lines():
                pass
    finally:
        answered.set()


if __name__ == "__main__":
    asyncio.run(
        attend(
            sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), [line.split() for line in sys.stdin]
        )
    )
