"""What remembering a file costs: the diff of a listing, the record of new files, and the life of a batch.

    python -m devstack run -- python -m bench.ledger [FILES] [ROUNDS]

In a database of its own, with FILES loaded files (1,000,000) under keys of 95 characters. The variants of a step take
turns; each line has the slowest, the middle and the fastest round, in files a second. The digests of the files are made
in all of them; what that takes alone is a line of its own. WAL is that of the whole server: let nothing else write.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from sqlalchemy import bindparam, column, select, table, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.ledger_store import GENERATION, INGESTION, filled
from bench.ledger_store import files as files_of
from libs.common.ids import BatchId, RunId, new_batch_id, new_run_id
from libs.common.ledger import batch_files
from libs.common.ledger.known import known_versions, look
from libs.common.ledger.model.batches import BatchClaim, PlannedBatch
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.model.settled import Tally
from libs.common.ledger.scans import ScanLedger
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import file
from libs.common.objects.stretches import Cutter, fingerprint_of
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox

ASKED, NEW = 100_000, 10_000
CHUNKS = (1_000, 10_000, 50_000)
Step = Callable[[], Awaitable[None]]
Ask = Callable[[Sequence[FileVersion]], Awaitable[None]]

_HASHED = text(
    """
    WITH known AS MATERIALIZED (
        SELECT key_digest, version_tag FROM ledger.file
        WHERE ingestion_id = :ingestion_id AND generation = :generation
            AND key_digest = ANY(CAST(:digests AS bytea[])) AND state IN ('committed', 'baseline')
    )
    SELECT page.digest FROM unnest(CAST(:digests AS bytea[]), CAST(:tags AS text[])) AS page (digest, tag)
    WHERE NOT EXISTS (SELECT FROM known WHERE key_digest = page.digest AND version_tag = page.tag)
    """
)
_PAGE = text("CREATE TEMP TABLE page (LIKE ledger.file INCLUDING DEFAULTS) ON COMMIT DROP")
_COPIED = text(
    """
    SELECT page.digest FROM page
    LEFT JOIN ledger.file AS f
        ON f.ingestion_id = :ingestion_id AND f.generation = :generation AND f.key_digest = page.digest
        AND f.version_tag = page.tag AND f.state IN ('committed', 'baseline')
    WHERE f.key_digest IS NULL
    """
)


class Bench:
    def __init__(self, database: Database, files: int, rounds: int) -> None:
        self.database = database
        self.files = files
        self.rounds = rounds
        self.next_key = files
        outbox = Outbox(source="autoloader/bench")
        self.scanner = ScanLedger(database, outbox, owner="bench", lease=timedelta(minutes=10))

    async def compare(self, title: str, count: int, variants: Mapping[str, Step]) -> None:
        """A round that does not count, and then ``rounds``; every second one goes backwards."""
        took: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(self.rounds + 1):
            for name in list(variants) if number % 2 else list(variants)[::-1]:
                began = time.perf_counter()
                await variants[name]()
                if number:
                    took[name].append(time.perf_counter() - began)
        print(f"\n{title}")
        for name, seconds in took.items():
            slow, middle, fast = (count / s for s in (max(seconds), statistics.median(seconds), min(seconds)))
            print(f"  {name:<44} {slow:>10,.0f} {middle:>10,.0f} {fast:>10,.0f}", flush=True)

    # --- the diff -----------------------------------------------------------------------------------------------

    async def diff(self) -> None:
        """All keys are settled, as in a bucket where nothing is new."""
        first = self.files // 3
        page = list(files_of(first, first + min(ASKED, self.files - first)))
        for size in CHUNKS:
            chunks = [page[start : start + size] for start in range(0, len(page), size)]
            each: dict[str, Ask] = {
                "nothing but digests and tags": _digests,
                "every version comes back (known_versions)": self._every_version,
                "settled keys are passed over (look)": self._look,
                "one walk of the sorted array, joined by hash": self._hashed,
                "COPY into a temporary table, anti-join": self._copied,
            }
            variants = {name: _over(chunks, ask) for name, ask in each.items()}
            await self.compare(
                f"diff, {len(page):,} settled keys of {self.files:,}, {size:,} at once", len(page), variants
            )
        chunks = [page[start : start + 10_000] for start in range(0, len(page), 10_000)]
        await self.recognise(page)
        both = (_over(chunks[::2], self._look), _over(chunks[1::2], self._look))

        async def side_by_side() -> None:
            await asyncio.gather(*(each() for each in both))

        await self.compare("two pages of 10,000 at a time", len(page), {"look": side_by_side})

    async def recognise(self, page: Sequence[FileVersion]) -> None:
        """The same keys in stretches, as a store tells of them: cut, hashed, and asked about, some pages at once."""
        claim = await self.scanner.claim(new_run_id(), INGESTION, GENERATION)
        assert claim is not None
        told = [b"".join(map(_told, page[start : start + 1000])) for start in range(0, len(page), 1000)]
        cutter = Cutter()
        whole = [s for objects in told for s in cutter.add(objects)] + cutter.rest()
        epoch = (await self.scanner.recognise(claim, [])).epoch
        tallies = {fingerprint_of(s): Tally(*[s.count(b"<Contents>")] * 3) for s in whole}
        await self.scanner.remember(claim, epoch, tallies)
        groups = {n: [told[start : start + n] for start in range(0, len(told), n)] for n in (1, 3, 10)}
        variants = {
            f"recognised (settled), {n} pages at once": partial(self._recognised, claim, groups[n], len(page))
            for n in groups
        }
        await self.compare(f"the same keys in {len(tallies)} stretches", len(page), variants)

    async def _recognised(self, claim: ScanClaim, groups: Sequence[Sequence[bytes]], keys: int) -> None:
        cutter, found = Cutter(), 0
        for group in (*groups, None):
            stretches = cutter.rest() if group is None else [s for objects in group for s in cutter.add(objects)]
            known = await self.scanner.recognise(claim, [fingerprint_of(s) for s in stretches])
            found += sum(tally.of_age for tally in known.tallies.values())
        assert keys == found

    async def _every_version(self, files: Sequence[FileVersion]) -> None:
        async with self.database.read() as connection:
            assert len(files) == len(await known_versions(connection, INGESTION, GENERATION, files))

    async def _look(self, files: Sequence[FileVersion]) -> None:
        async with self.database.read() as connection:
            assert len(files) == (await look(connection, INGESTION, GENERATION, files)).settled

    async def _hashed(self, files: Sequence[FileVersion]) -> None:
        asked = {"digests": [f.digest for f in files], "tags": [f.version_tag for f in files]}
        async with self.database.read() as connection:
            assert not (await connection.execute(_HASHED, _of(**asked))).all()

    async def _copied(self, files: Sequence[FileVersion]) -> None:
        async with self.database.begin() as connection:
            await connection.execute(text("CREATE TEMP TABLE page (digest bytea, tag text) ON COMMIT DROP"))
            await _copy(connection, "page", ((f.digest, f.version_tag) for f in files), ("digest", "tag"))
            await connection.execute(text("ANALYZE page"))
            assert not (await connection.execute(_COPIED, _of())).all()

    # --- new files, and their batch -----------------------------------------------------------------------------

    async def record(self) -> None:
        variants = {
            "a parameter a value (INSERT ... VALUES)": self._record_values,
            "an array a column (scan_pages)": self._record_arrays,
            "COPY into a temporary table, INSERT ... SELECT": self._record_copied,
        }
        await self.compare(f"record {NEW:,} new files", NEW, variants)

    async def _record_values(self) -> None:
        rows = [_row(f) for f in self._new()]
        async with self.database.begin() as connection:
            for start in range(0, len(rows), 1000):
                await connection.execute(insert(file).values(rows[start : start + 1000]).on_conflict_do_nothing())

    async def _record_arrays(self) -> None:
        await self._recorded(self._new())

    async def _record_copied(self) -> None:
        rows = [_row(f) for f in self._new()]
        columns = [file.c[name] for name in rows[0]]
        page = table("page", *(column(c.name, c.type) for c in columns))
        async with self.database.begin() as connection:
            await connection.execute(_PAGE)
            await _copy(connection, "page", (tuple(row.values()) for row in rows), tuple(rows[0]))
            await connection.execute(insert(file).from_select(list(rows[0]), select(*page.c)).on_conflict_do_nothing())

    async def _recorded(self, files: Sequence[FileVersion], *batches: PlannedBatch) -> RunId:
        run_id = new_run_id()
        claim = await self.scanner.claim(run_id, INGESTION, GENERATION)
        assert claim is not None
        await self.scanner.record(claim, Page(taken=tuple(files), batches=batches))
        return run_id

    async def counts(self) -> None:
        """What the audit counted, for all files of a batch. With many, a statement a file does not come to its end."""
        files = self._new()[:300]
        batch = PlannedBatch(new_batch_id(), tuple(files))
        claim = BatchClaim(batch.id, await self._recorded(files, batch), INGESTION, GENERATION, 1, 1)
        rows = {f.digest: 1000 for f in files}
        variants = {
            "a statement a file": lambda: self._count_one_by_one(claim, rows),
            "one statement (batch_files)": lambda: self._count(claim, rows),
        }
        await self.compare("count the rows of a batch of 300 files", len(files), variants)

    async def _count_one_by_one(self, claim: BatchClaim, rows: Mapping[bytes, int]) -> None:
        statement = (
            update(file)
            .where(file.c.batch_id == claim.id, file.c.state == FileState.BATCHED)
            .where(file.c.key_digest == bindparam("digest"))
            .values(row_count=bindparam("rows"))
        )
        async with self.database.begin() as connection:
            await connection.execute(statement, [{"digest": d, "rows": n} for d, n in rows.items()])

    async def _count(self, claim: BatchClaim, rows: Mapping[bytes, int]) -> None:
        async with self.database.begin() as connection:
            await batch_files.count_rows(connection, claim, rows)

    async def life(self) -> None:
        """Seconds and bytes of WAL of each step of 10,000 files' lives, in ten batches."""
        print(f"\nthe life of {NEW:,} files, in ten batches: seconds, and bytes of WAL a file")
        files = self._new()
        parts = [PlannedBatch(new_batch_id(), tuple(files[n::10])) for n in range(10)]
        run_id: list[RunId] = []

        async def recorded() -> None:
            run_id.append(await self._recorded(files, *parts))

        async def each(step: Callable[[AsyncConnection, BatchClaim, PlannedBatch], Awaitable[None]]) -> None:
            for part in parts:
                claim = BatchClaim(BatchId(part.id), run_id[0], INGESTION, GENERATION, 1, 1)
                async with self.database.begin() as connection:
                    await step(connection, claim, part)

        await self._weigh("found, and put into batches", recorded)
        await self._weigh(
            "counted",
            lambda: each(lambda c, claim, part: batch_files.count_rows(c, claim, {f.digest: 9 for f in part.files})),
        )
        await self._weigh("committed", lambda: each(lambda c, claim, _: batch_files.commit(c, claim)))

    async def _weigh(self, name: str, step: Step) -> None:
        lsn, began = await self._lsn(), time.perf_counter()
        await step()
        seconds = time.perf_counter() - began
        print(f"  {name:<44} {seconds:10.2f} s {(await self._lsn() - lsn) / NEW:10,.0f} bytes", flush=True)

    async def _lsn(self) -> int:
        async with self.database.read() as connection:
            return int(await connection.scalar(text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")) or 0)

    def _new(self) -> list[FileVersion]:
        self.next_key += NEW
        return list(files_of(self.next_key - NEW, self.next_key))


async def _digests(files: Sequence[FileVersion]) -> None:
    assert len(files) == len({f.digest: f.version_tag for f in files})


def _told(f: FileVersion) -> bytes:
    """As a store tells of an object in a listing."""
    return (
        f"<Contents><Key>{quote(f.key)}</Key><LastModified>{f.last_modified:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<ETag>&#34;{f.etag}&#34;</ETag><Size>{f.size_bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    ).encode()


def _over(chunks: Sequence[Sequence[FileVersion]], ask: Ask) -> Step:
    async def step() -> None:
        for chunk in chunks:
            await ask(chunk)

    return step


def _of(**asked: Any) -> dict[str, Any]:
    return {"ingestion_id": INGESTION, "generation": GENERATION, **asked}


def _row(f: FileVersion) -> dict[str, Any]:
    told = ("bucket", "key", "etag", "size_bytes", "last_modified")
    mine = {"key_digest": f.digest, "version_tag": f.version_tag, "state": FileState.DISCOVERED, "run_id": new_run_id()}
    return _of(**mine, **{name: getattr(f, name) for name in told})


async def _copy(connection: AsyncConnection, table: str, rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> None:
    """The driver's own COPY, which SQLAlchemy does not have."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.copy_records_to_table(table, records=rows, columns=columns)


async def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    async with filled(count) as database:
        bench = Bench(database, count, rounds)
        await bench.diff()
        await bench.record()
        await bench.counts()
        await bench.life()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
