"""How many data files a batch makes, and what that costs: as Spark decides by itself, beside the executor's settings.

    python -m devstack run -- python -m bench.data_files [ROUNDS]

Both through the executor's own staging, on one Spark server, in turns. Spark decides by how many cores it has, so each
case is measured with this machine's, and as if there were 32. A time is the median of the rounds after the first. A
star: the counts do not close. The pass counted other rows than it wrote, and such a batch is never published.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from bench.commit_overhead import SCHEMA, Bench
from libs.common.ids import new_batch_id
from libs.common.ledger.model.files import FileVersion

SIZES = ((100, 100), (1000, 100), (100, 10_000))
"""Files in a batch, records in a file."""
TABLES: Mapping[str, tuple[str, str]] = {
    "plain": ("", ""),
    "bucket(8, id)": ("PARTITIONED BY (bucket(8, id))", ""),
    "sorted by id": ("", "WRITE ORDERED BY id"),
}
"""What is said of a table when it is made, and after."""
CORES = "spark.sql.leafNodeDefaultParallelism"
OURS = (
    "spark.sql.files.minPartitionNum",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.files.openCostInBytes",
    "spark.sql.iceberg.distribution-mode",
)


class DataFiles(Bench):
    """A bucket, and a table that is made anew for each case."""

    async def measure(self, rounds: int) -> None:
        """Prints a line per case."""
        print(
            f"{'files x records':>16}  {'table':<14} {'cores':>5}  {'Spark alone':>21}  {'executor':>21}  files ratio"
        )
        for files, records in SIZES:
            batch = self.land(f"{files}x{records}", files, records)
            for name, (when_made, after) in TABLES.items():
                for cores in (None, 32):
                    self.make(when_made, after)
                    alone, ours = await self.compare(batch, cores, rounds)
                    size = f"{files:>7,} x {records:>6,}"
                    ratio = f"{ours[0] / alone[0]:6.3f}"
                    print(f"{size}  {name:<14} {cores or 'own':>5}  {_told(alone)}  {_told(ours)}  {ratio}", flush=True)

    def make(self, when_made: str, after: str) -> None:
        columns = ", ".join(f"{f.name} {f.type}" for f in SCHEMA.fields)
        table = self.to.identifier
        self.spark.sql(f"DROP TABLE IF EXISTS {table} PURGE").collect()
        self.spark.sql(f"CREATE TABLE {table} ({columns}) USING iceberg {when_made}").collect()
        if after:
            self.spark.sql(f"ALTER TABLE {table} {after}").collect()

    async def compare(
        self, batch: Sequence[FileVersion], cores: int | None, rounds: int
    ) -> tuple[tuple[int, float, bool], tuple[int, float, bool]]:
        """Data files, seconds, and whether the counts close: without our settings, and with them."""
        found: tuple[list[tuple[int, float, bool]], ...] = ([], [])
        for _ in range(rounds + 1):
            for mine, taken_away in ((found[0], OURS), (found[1], ())):
                with self.settings(cores, taken_away):
                    mine.append(await self.staged(batch))
        alone, ours = (
            (rows[-1][0], statistics.median(seconds for _, seconds, _ in rows[1:]), all(ok for *_, ok in rows))
            for rows in found
        )
        return alone, ours

    async def staged(self, batch: Sequence[FileVersion]) -> tuple[int, float, bool]:
        schema = await self.table.schema()
        assert schema is not None
        began = time.perf_counter()
        told = {"autoloader.batch": "bench", "autoloader.run": "bench"}
        staged = await self.table.stage(batch, schema, f"al1:bench:1:{new_batch_id()}", told)
        seconds = time.perf_counter() - began
        snapshots = self.spark.table(f"{self.to.identifier}.snapshots")
        [row] = snapshots.where(f"snapshot_id = {staged.snapshot_id}").select("summary").collect()
        counted = sum(read.rows for read in staged.reads.values())
        return int(row["summary"]["added-data-files"]), seconds, counted == staged.added_records

    @contextmanager
    def settings(self, cores: int | None, taken_away: Sequence[str]) -> Iterator[None]:
        before = {name: self.spark.conf.get(name) for name in taken_away}
        for name in taken_away:
            self.spark.conf.unset(name)
        if cores is not None:
            self.spark.conf.set(CORES, str(cores))
        try:
            yield
        finally:
            self.spark.conf.unset(CORES)
            for name, value in before.items():
                assert value is not None
                self.spark.conf.set(name, value)


def _told(found: tuple[int, float, bool]) -> str:
    files, seconds, closes = found
    return f"{files:>5} files{' ' if closes else '*'} {seconds:6.2f} s"


async def main() -> int:
    bench = DataFiles()
    try:
        await bench.measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    finally:
        await bench.clean()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
