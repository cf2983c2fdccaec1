"""``make bench-slots``: eight executor slots on four tables and on one, beside one slot.

    python -m devstack run -- python -m bench.slots [--slots 1,8,2x4] [--rounds 3] [--batches 12] [--json FILE]

Four ingestions have many small batches each, in tables of their own or in one table that they share. API, scanner and
executors are real processes, with a database and topics of their own; the settings take turns. Told are throughput,
conflicts of 1,000 publishes, and how long each ingestion's batches waited.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped, unused-ignore]
from pyspark.sql.connect.session import SparkSession
from rich.console import Console

from bench.machine import describe
from bench.measures import turns
from bench.peers.peer import GivenUp, Miscounted
from bench.slots import report
from bench.slots.figures import Setting, Slots, Turn
from bench.slots.turn import Load, Stage, take
from bench.stack import SPARK_URL, bucket_of_its_own, refuse_unless_up, s3_client
from devstack.settings import DevSettings
from tests.support.installation import installation

TABLES = (4, 1)
INGESTIONS = 4
AS_IN_PRODUCTION = {"AUTOLOADER_LEASE_TTL_S": "30", "AUTOLOADER_SWEEP_INTERVAL_S": "10"}
"""The product's defaults; those of tests are so short that a busy executor may lose its batches."""


async def main() -> None:
    """Prints three tables. What was measured is in the file even if a later turn is given up."""
    asked = _arguments()
    refuse_unless_up(with_services=False)
    console = Console() if sys.stdout.isatty() else Console(width=150)
    settings = {each.key: each for each in (Setting(tables, slots) for tables in TABLES for slots in asked.slots)}
    load = Load(INGESTIONS, asked.batches, asked.files, asked.records, warm_up=4)
    found: dict[Setting, dict[int, Turn]] = {setting: {} for setting in settings.values()}
    async with _stage(timedelta(seconds=asked.sweep_s)) as stage:
        machine = describe(stage.spark)
        # Warms everything up, and does not count.
        await _told(stage, Setting(TABLES[0], asked.slots[-1]), load, 0, console)
        for number in range(1, asked.rounds + 1):
            for key in turns(list(settings), number):
                found[settings[key]][number] = await _told(stage, settings[key], load, number, console)
                if asked.json:
                    report.Found(
                        made_at=datetime.now(UTC),
                        machine=machine,
                        load=asdict(load),
                        sweep_s=asked.sweep_s,
                        settings={setting.key: rounds for setting, rounds in found.items()},
                    ).save(asked.json)
    base = {tables: found[Setting(tables, asked.slots[0])] for tables in TABLES}
    console.print(
        f"{INGESTIONS} ingestions, {asked.batches} batches of {asked.files} files each; {asked.rounds} rounds"
    )
    console.print(f"the base has so many slots: {asked.slots[0]}")
    for table in (report.throughput(found, base), report.conflicts(found), report.waits(found)):
        console.print(table)


async def _told(stage: Stage, setting: Setting, load: Load, number: int, console: Console) -> Turn:
    turn = await take(stage, setting, load)
    seen = turn.collisions
    console.print(
        f"[{datetime.now(UTC):%H:%M:%S}] round {number}  {setting.key:<14} {turn.seconds:6.1f} s  "
        f"{turn.batches_per_s:.2f} batches/s  {turn.at_once_max} at once  conflicts: {seen.repeated_publishes} "
        f"publishing, {seen.repeated_stages} staging, {seen.refused} refused, {seen.attempts_repeated} begun again",
        markup=False,
        highlight=False,
    )
    return turn


@asynccontextmanager
async def _stage(sweep: timedelta) -> AsyncIterator[Stage]:
    spark_log = DevSettings().state / "logs" / "spark.log"
    if not spark_log.exists():
        raise SystemExit(f"the Spark server's log, which tells of conflicts, is not there: {spark_log}")
    async with AsyncExitStack() as stack:
        s3 = s3_client()
        bucket = stack.enter_context(bucket_of_its_own(s3, f"bench-slots-{uuid4().hex[:8]}"))
        spark = SparkSession.builder.remote(SPARK_URL).create()
        stack.callback(spark.stop)
        autoloader = await stack.enter_async_context(installation(settings=AS_IN_PRODUCTION))
        connection = await asyncpg.connect(autoloader.environment["DATABASE_URL"], ssl=False)
        stack.push_async_callback(connection.close)
        await autoloader.start("scanner")
        yield Stage(autoloader, connection, spark, spark_log, s3, bucket, sweep)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.slots", description=__doc__.partition("\n")[0])
    parser.add_argument("--slots", type=_slots, default=_slots("1,8,2x4"), help="the first is the base")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=12, help="of each ingestion")
    parser.add_argument("--files", type=int, default=2, help="in each batch")
    parser.add_argument("--records", type=int, default=100, help="in each file")
    parser.add_argument(
        "--sweep-s",
        type=float,
        default=3600,
        help="seconds between two searches of executors for batches that nobody works on; the default of the product "
        "is 10, and what a search finds is worked on beside the slots",
    )
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _slots(text: str) -> list[Slots]:
    return [Slots.parse(part) for part in text.split(",")]


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (GivenUp, Miscounted) as e:
        sys.exit(str(e))
