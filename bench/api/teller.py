"""A process that tells facts of runs at a steady rate.

    python -m bench.api.teller BOOTSTRAP PREFIX RATE AT_ONCE < runs

``runs`` are lines of a run's id and its ingestion's. ``AT_ONCE`` of them go on at the same time; when one is over, the
next begins. Prints, at the end, for each fact: the run, its seq, and the time (Unix) at which it was handed to Kafka.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from uuid import UUID

from bench.api.stories import Told, story
from libs.common.messaging.kafka import KafkaPublisher

_TICK_S = 0.01


async def tell(bootstrap: str, prefix: str, rate: float, at_once: int, runs: list[tuple[UUID, UUID]]) -> None:
    """All facts of all runs, ``rate`` of them in a second, taking turns."""
    waiting = deque(story(run_id, ingestion_id, prefix) for run_id, ingestion_id in runs)
    going = deque(waiting.popleft() for _ in range(min(at_once, len(waiting))))
    publisher = KafkaPublisher(bootstrap, "bench")
    await publisher.start()
    sent: list[tuple[str, int, float]] = []
    began = time.monotonic()
    sending: set[asyncio.Task[None]] = set()
    while going:
        due = int((time.monotonic() - began) * rate) - len(sent)
        facts = [fact for _ in range(due) if (fact := _next(going, waiting)) is not None]
        now = time.time()
        sent += [(str(fact.run_id), fact.seq, now) for fact in facts]
        if facts:
            task = asyncio.create_task(publisher.send_many([fact.message for fact in facts]))
            sending.add(task)
            task.add_done_callback(sending.discard)
        await asyncio.sleep(_TICK_S)
    await asyncio.gather(*sending)
    await publisher.stop()
    json.dump({"took_s": time.monotonic() - began, "sent": sent}, sys.stdout)


def _next(going: deque[Iterator[Told]], waiting: deque[Iterator[Told]]) -> Told | None:
    while going:
        run = going.popleft()
        fact = next(run, None)
        if fact is not None:
            going.append(run)
            return fact
        if waiting:
            going.append(waiting.popleft())
    return None


def main() -> None:
    bootstrap, prefix, rate, at_once = sys.argv[1:]
    runs = [(UUID(run), UUID(ingestion)) for run, ingestion in (line.split() for line in sys.stdin)]
    asyncio.run(tell(bootstrap, prefix, float(rate), int(at_once), runs))


if __name__ == "__main__":
    main()
