"""``make soak MINUTES=30``: random faults of all kinds over four ingestions, four executors, two scanners, two APIs; at
the end nothing may be lost or doubled, and nobody may have to lend a hand (F56 of the catalogue).

    make soak MINUTES=1 SEED=3      a quick look; the seed draws the same faults again
    make soak NEGATIVE=1 MINUTES=2  executors that publish by a plain append: must end with duplicates
    make soak CALM=1 MINUTES=30     the same load without a fault: processes live long enough to show whether they grow

Exit code 0 only if the oracle has nothing to say and the memory of no process grows (NEGATIVE: only if the oracle found
duplicates).
"""

import asyncio
import logging
import os
import re
import secrets
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.soak.faults import FAULTS, Fault
from tests.soak.judge import Judgement, judge, last_runs, loaded, runs_of
from tests.soak.report import Clock, Memory, last_line
from tests.soak.schedule import Planned, draw
from tests.soak.world import World, world
from tests.support.eventually import eventually
from tests.support.installation import Installation

UP_WITHIN_S = 240.0
LOUDEST = 6
_EVENT = re.compile(r'"event": "([a-z_.]+)"')


async def soak(minutes: float, seed: int, *, negative: bool, calm: bool) -> int:
    faults = [fault for fault in FAULTS if fault.negative or not negative]
    planned = () if calm else draw(seed, minutes * 60, {fault.words: fault.weight for fault in faults})
    print(f"soak: seed {seed}, {minutes:g} min, {len(planned)} faults drawn", flush=True)
    struck: list[str] = []
    clock, memory = Clock(), Memory()

    def met(words: str) -> None:
        struck.append(words)
        clock.say(words)

    def met_at_a_failpoint(words: str) -> None:
        met(f"{'strikes':<8} {words}")

    async with world(seed=seed, negative=negative, struck=met_at_a_failpoint) as around:
        await asyncio.gather(*(source.first_run() for source in around.sources))
        clock = Clock()
        endless = [(s.name, happens()) for s in around.sources for happens in (s.land_for_ever, s.tick_for_ever)]
        endless.append(("progress", _tell(around, clock, struck)))
        endless.append(("memory", memory.watch(around.fleet)))
        background = [asyncio.create_task(_noted(around, name, it)) for name, it in endless]
        try:
            await _play(around, planned, {fault.words: fault for fault in faults}, clock, met)
            await asyncio.sleep(max(0.0, minutes * 60 - clock.elapsed_s))
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        clock.say("no fault any more; everything is brought up, and runs once more")
        judgements = await _judge(around, clock)
        return _report(around, judgements, memory, minutes=minutes, seed=seed, faults=len(struck), negative=negative)


async def _noted(around: World, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
    """What breaks is written down, and the soak goes on: the oracle is to see what came of it."""
    try:
        await coroutine
    except Exception as error:  # noqa: BLE001 - of whatever kind
        around.problems.append(f"{name}: {type(error).__name__}: {error}")


async def _play(
    around: World, planned: Sequence[Planned], table: dict[str, Fault], clock: Clock, met: Callable[[str], None]
) -> None:
    """Each fault at its time, whether or not the last one is over."""

    async def strike(plan: Planned) -> None:
        fault = table[plan.name]
        where = await fault.strike(around, plan.random())
        if where is not None:
            met(f"{fault.number:<8} {fault.words}: {where}")

    async with asyncio.TaskGroup() as group:
        for plan in planned:
            await asyncio.sleep(max(0.0, plan.at_s - clock.elapsed_s))
            group.create_task(_noted(around, plan.name, strike(plan)))


async def _tell(around: World, clock: Clock, struck: list[str]) -> None:
    while True:
        await asyncio.sleep(60 - clock.elapsed_s % 60)
        around.store.asked.clear()
        rows, runs = await loaded(around)
        landed = sum(source.book.rows for source in around.sources)
        clock.say(
            f"-------- rows landed {landed}, loaded {rows} (again after a full refresh), runs ended {runs}, "
            f"faults {len(struck)}"
        )


async def _judge(around: World, clock: Clock) -> list[Judgement]:
    around.fleet.undress()
    await eventually(around.fleet.all_up, UP_WITHIN_S, what="all services run again")
    since = clock.elapsed_s
    judgements = {source.name: Judgement(source.name) for source in around.sources}
    await last_runs(around, judgements)
    clock.say(f"at rest after {clock.elapsed_s - since:.0f} s; the oracle looks")
    for source in around.sources:
        judgement = judgements[source.name]
        try:
            await judge(around, source, judgement)
        except Exception as error:  # noqa: BLE001 - what cannot be judged is not clean
            judgement.problems.append(f"it could not be judged: {type(error).__name__}: {error}")
        ended = await runs_of(around, source)
        judgement.runs, judgement.refreshes = ended.total(), len(source.refreshes)
        clock.say(f"{source.name}: runs {dict(ended)}")
    return list(judgements.values())


def _report(
    around: World,
    judgements: list[Judgement],
    memory: Memory,
    *,
    minutes: float,
    seed: int,
    faults: int,
    negative: bool,
) -> int:
    troubles = [*around.problems, *around.fleet.troubles, *memory.problems()]
    for line in (
        *(f"problem: {judgement.name}: {problem}" for judgement in judgements for problem in judgement.problems),
        *(f"problem: {trouble}" for trouble in troubles),
        *memory.lines(),
        f"starts in vain, while a database or a broker was away: {around.fleet.false_starts}",
        _logs(around.autoloader),
        *(judgement.line() for judgement in judgements),
    ):
        print(line)
    is_clean = all(judgement.is_clean for judgement in judgements) and not troubles
    if not is_clean:
        print(f"logs of all services: {_keep_logs(around.autoloader)}")
    print(last_line(minutes, seed, faults, judgements), flush=True)
    if negative:
        return 0 if any(judgement.duplicated for judgement in judgements) else 1
    return 0 if is_clean else 1


def _logs(autoloader: Installation) -> str:
    """How much was logged, and what most often: a service that says one thing for ever is in trouble."""
    lines = [line for service in autoloader.running for line in service.log]
    said = Counter(found[1] for line in lines if (found := _EVENT.search(line)))
    loudest = ", ".join(f"{event} {count}" for event, count in said.most_common(LOUDEST))
    size_mb = sum(map(len, lines)) / 1_000_000
    return f"logs: {len(lines)} lines, {size_mb:.1f} MB, of {len(autoloader.running)} processes; loudest: {loudest}"


def _keep_logs(autoloader: Installation) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="autoloader-soak-"))
    number: Counter[str] = Counter()
    for service in autoloader.running:
        number[service.name] += 1
        file = folder / f"{service.name}-{number[service.name]:03}-{service.process.pid}.log"
        file.write_text("\n".join(service.log))
    return folder


def main() -> int:
    minutes = float(os.environ.get("MINUTES") or 30)
    seed = int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    negative, calm = (os.environ.get(name, "") not in ("", "0") for name in ("NEGATIVE", "CALM"))
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # a foreign writer without a table is no news
    with suppress(asyncio.CancelledError):
        return asyncio.run(_interruptible(soak(minutes, seed, negative=negative, calm=calm)))
    return 130


async def _interruptible(soaking: Coroutine[Any, Any, int]) -> int:
    """Whoever ends a soak early leaves no process behind."""
    task = asyncio.ensure_future(soaking)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


if __name__ == "__main__":
    sys.exit(main())
