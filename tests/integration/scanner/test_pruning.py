"""Runs leave out partitions in which nothing happens any more; what comes late to them is found by a full check."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from libs.common.contracts.definition import Credentials
from libs.common.contracts.events import Problem
from libs.common.contracts.scope import ANY_AGE, Scope
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion, digest_of
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import file, watermark
from libs.common.objects.side_by_side import Place
from libs.common.objects.stretches import Stretch
from libs.common.storage.engine import Database
from tests.integration.scanner.harness import BUCKET, Harness, PausingObjects

pytestmark = pytest.mark.integration
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
BROKEN = Problem(error_type="unparsable_file", message="a line is no JSON")
OLD = [f"in/dt=2026-01-0{day}/" for day in (1, 2, 3)]
LIVE = "in/dt=2026-02-01/"
EACH = 17
"""Files in each old partition: five pages of a listing in all, and fewer requests are made instead."""
PAGE = 10
OLD_FILES = len(OLD) * EACH


class ListedObjects(PausingObjects):
    """Knows what was listed."""

    def __init__(self, harness: Harness, *, tells_places: bool = True, may_list: bool = True) -> None:
        super().__init__(harness.objects)
        self.listed: list[str] = []
        self._tells_places = tells_places
        self._may_list = may_list

    async def stretches(
        self, bucket: str, prefixes: Sequence[str], credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        self.listed += prefixes
        async for some in self._inner.stretches(bucket, prefixes, credentials):
            yield some

    async def place(self, bucket: str, prefix: str, credentials: Credentials | None) -> Place[FileVersion] | None:
        return await super().place(bucket, prefix, credentials) if self._tells_places else None

    async def may_list(self, bucket: str, prefix: str, credentials: Credentials | None) -> bool:
        return self._may_list


@pytest.fixture
def harness(database: Database) -> Harness:
    harness = Harness(database, page_size=PAGE)
    harness.batch_files = 100
    harness.options = {"partition_pruning": {"enabled": True}}
    harness.put_at(NOW - 10 * DAY, *(f"{folder}{n:02}.json" for folder in OLD for n in range(EACH)))
    harness.put_at(NOW, f"{LIVE}0.json", "in/top.json")
    return harness


async def run(
    harness: Harness, *, now: datetime = NOW, scope: Scope | None = None, **objects: Any
) -> tuple[list[str], int, int]:
    """A run that loads what it finds: what it listed, and how many files it found and skipped."""
    store, run_id = ListedObjects(harness, **objects), await harness.new_run(scope=scope)
    await harness.scan(run_id, harness.scans(objects=store, now=lambda: now))
    await harness.load(run_id)
    totals = await harness.totals(run_id)
    return store.listed, totals.files_discovered, totals.files_skipped


async def mark(harness: Harness, key: str, state: FileState) -> None:
    async with harness.database.begin() as connection:
        await connection.execute(
            update(file).where(file.c.ingestion_id == harness.ingestion_id, file.c.key == key).values(state=state)
        )


async def settled(harness: Harness) -> None:
    """All is loaded, and a full check has found it so."""
    assert (["in/"], OLD_FILES + 2, 0) == await run(harness)
    assert (["in/"], 0, OLD_FILES + 2) == await run(harness)


async def test_settled_partitions_are_not_listed_and_all_else_is(harness: Harness) -> None:
    """New files of a partition that goes on, new partitions, what lies beside them; totals are as of a full listing."""
    await settled(harness)
    harness.put(f"{LIVE}1.json", "in/dt=2026-02-02/0.json", "in/other/0.json", "in/top2.json")
    assert ([LIVE, "in/dt=2026-02-02/", "in/other/"], 4, OLD_FILES + 2) == await run(harness)
    assert ([LIVE, "in/dt=2026-02-02/", "in/other/"], 0, OLD_FILES + 6) == await run(harness)


async def test_a_late_file_is_found_by_the_next_full_check(harness: Harness) -> None:
    """And by no run before."""
    await settled(harness)
    harness.put(f"{OLD[0]}late.json")
    assert ([LIVE], 0, OLD_FILES + 2) == await run(harness)
    assert (["in/"], 1, OLD_FILES + 2) == await run(harness, now=NOW + DAY)


@pytest.mark.parametrize("scope", [ANY_AGE, Scope(noticed_since=NOW)], ids=["a backfill", "a reconcile"])
async def test_who_looks_for_what_was_missed_lists_everything(harness: Harness, scope: Scope) -> None:
    """Late files, too."""
    await settled(harness)
    harness.put(f"{OLD[0]}late.json")
    assert (["in/"], 1) == (await run(harness, scope=scope))[:2]


async def test_what_ceases_to_be_loaded_is_found_again(harness: Harness) -> None:
    """Whoever sees to it that something is not loaded any more makes the next run a full check."""
    await settled(harness)
    await mark(harness, f"{OLD[1]}00.json", FileState.MISSING)
    assert (["in/"], 1) == (await run(harness))[:2]


async def test_a_partition_with_a_failed_file_is_listed_until_it_is_loaded(harness: Harness) -> None:
    """Uploading it again is all that it takes."""
    await settled(harness)
    await mark(harness, f"{OLD[1]}00.json", FileState.FAILED)
    assert (["in/"], 0) == (await run(harness))[:2]
    harness.put(f"{OLD[1]}00.json", body=b"{} \n")
    assert ([OLD[1], LIVE], 1) == (await run(harness))[:2]


@pytest.mark.parametrize("store", [{"tells_places": False}, {"may_list": False}], ids=["no places", "one prefix only"])
async def test_a_store_that_cannot_be_asked_so_is_listed_as_a_whole(harness: Harness, store: dict[str, Any]) -> None:
    """Nothing is left out, and until the next full check nobody tries again."""
    await settled(harness)
    harness.put(f"{OLD[0]}late.json")
    assert (["in/"], 1) == (await run(harness, **store))[:2]
    assert (["in/"], 0) == (await run(harness))[:2]


async def test_a_late_file_that_somebody_found_and_could_not_load_is_looked_at(harness: Harness) -> None:
    """The ledger knows of it, and so its partition is listed."""
    await settled(harness)
    harness.put(late := f"{OLD[0]}late.json")
    run_id = await harness.new_run(scope=ANY_AGE)
    await harness.scan(run_id)
    await harness.burn(run_id, BurnVerdict({digest_of(BUCKET, late): Fate(FileState.FAILED, BROKEN)}))
    assert ([OLD[0], LIVE], 0) == (await run(harness))[:2]
    harness.put(late, body=b"{} \n")
    assert ([OLD[0], LIVE], 1) == (await run(harness))[:2]


async def test_a_full_check_that_had_to_pass_a_file_over_is_made_again(harness: Harness) -> None:
    """It is in work in another version: the next run shall see it, and move the watermark."""
    await settled(harness)
    harness.put(key := f"{LIVE}1.json")
    in_work = await harness.new_run(scope=ANY_AGE)
    await harness.scan(in_work)
    harness.put(key, body=b"{} \n")
    assert (["in/"], 0) == (await run(harness, now=NOW + DAY))[:2]
    await harness.load(in_work)
    assert (["in/"], 0) == (await run(harness, now=NOW + DAY))[:2]
    assert ([LIVE], 0) == (await run(harness, now=NOW + DAY))[:2]


async def test_nothing_is_left_out_by_default(harness: Harness) -> None:
    """A file that comes late is found at once."""
    harness.options = {}
    await settled(harness)
    assert (["in/"], 0) == (await run(harness))[:2]


async def test_the_watermark_waits_for_the_next_full_check(harness: Harness) -> None:
    """It says that all is loaded which was there before it: nobody knows that of what was not listed."""
    await settled(harness)

    async def listed_from() -> datetime:
        async with harness.database.read() as connection:
            query = select(watermark.c.listed_from).where(watermark.c.ingestion_id == harness.ingestion_id)
            found: datetime = (await connection.execute(query)).scalar_one()
            return found

    before = await listed_from()
    await run(harness)
    assert before == await listed_from()
    await run(harness, now=NOW + DAY)
    assert before < await listed_from()
