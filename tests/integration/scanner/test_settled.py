"""What a run found settled, later runs count and do not look at again, until something about it changes."""

from collections.abc import AsyncIterator, Sequence

import pytest

from libs.common.contracts.definition import Credentials
from libs.common.contracts.events import Totals
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.stretches import Stretch
from libs.common.storage.engine import Database
from tests.integration.scanner.harness import Harness, PausingObjects, names

pytestmark = pytest.mark.integration
PAGE = 4


class ReadObjects(PausingObjects):
    """Lists like another store, a page a stretch, and knows whose objects were read."""

    def __init__(self, harness: Harness) -> None:
        super().__init__(harness.objects)
        self.read: list[str] = []

    async def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[FileVersion]]:
        async for page in self._inner.pages(bucket, prefix, credentials):
            yield self._noted(page)

    async def stretches(
        self, bucket: str, prefixes: Sequence[str], credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        async for stretches in self._inner.stretches(bucket, prefixes, credentials):
            yield [Stretch(s.fingerprint, lambda s=s: self._noted(s.read())) for s in stretches]  # type: ignore[misc]

    def _noted(self, files: Sequence[FileVersion]) -> Sequence[FileVersion]:
        self.read += [f.key for f in files]
        return files


@pytest.fixture
def harness(database: Database) -> Harness:
    return Harness(database, page_size=PAGE)


async def run_and_look(harness: Harness) -> tuple[list[str], Totals]:
    """A run that loads what it finds: whose objects it read, and its totals."""
    store, run_id = ReadObjects(harness), await harness.new_run()
    await harness.scan(run_id, harness.scans(objects=store))
    await harness.load(run_id)
    return store.read, await harness.totals(run_id)


async def settled(harness: Harness, files: int) -> list[str]:
    """Loaded, and found settled by a second run."""
    harness.put(*names(files))
    await run_and_look(harness)
    read, totals = await run_and_look(harness)
    assert Totals(files_skipped=files) == totals
    assert set(names(files)) <= set(read)
    return names(files)


async def test_what_is_settled_is_not_looked_at_twice(harness: Harness) -> None:
    """The third run counts what the second one did, and warns of as little; nor is what it does not want looked at."""
    harness.put("in/readme.txt", "in/x/")
    await settled(harness, 10)
    run_id = await harness.new_run()
    store = ReadObjects(harness)
    await harness.scan(run_id, harness.scans(objects=store))
    assert ([], Totals(files_skipped=10), ()) == (
        store.read, await harness.totals(run_id), await harness.warnings(run_id),
    )  # fmt: skip
    assert "success" == await harness.outcome(run_id)


async def test_a_new_object_is_seen(harness: Harness) -> None:
    """With those that stand in one stretch with it; when it is loaded, too, it is settled with them."""
    keys = await settled(harness, 10)
    harness.put(new := "in/zzz.json")
    read, totals = await run_and_look(harness)
    assert ([*keys[8:], new], 1, 10) == (read, totals.files_discovered, totals.files_skipped)
    read, _ = await run_and_look(harness)
    assert [*keys[8:], new] == read
    assert ([], Totals(files_skipped=11)) == await run_and_look(harness)


@pytest.mark.parametrize(
    ("policy", "is_loaded"), [("skip", False), ("append", True), ("replace", True), ("fail", False)]
)
async def test_an_overwritten_object_is_seen(harness: Harness, policy: str, is_loaded: bool) -> None:
    """And looked at in each run until the version that is there now is loaded."""
    harness.options = {"allow_overwrites": policy}
    keys = await settled(harness, 10)
    harness.put(keys[1], body=b'{"n": 1}\n')
    read, totals = await run_and_look(harness)
    assert set(keys[:PAGE]) <= set(read)
    assert (policy != "skip") == (totals.files_discovered == 1)
    for _ in range(2):
        read, _ = await run_and_look(harness)
    assert (keys[1] not in read) == is_loaded


async def test_other_terms_look_at_everything(harness: Harness) -> None:
    """Another pattern wants other objects; a backfill wants what the source leaves out for its age."""
    keys = await settled(harness, 5)
    harness.pattern = "*.*"
    harness.put("in/a.txt")
    read, totals = await run_and_look(harness)
    assert ({*keys, "in/a.txt"}, 1) == (set(read), totals.files_discovered)


async def test_a_listing_that_begins_again_looks_at_everything(harness: Harness) -> None:
    """What was loaded since its first attempt may be the run's own, and nothing that it skipped."""
    keys = await settled(harness, 5)
    run_id = await harness.new_run()
    claim = await harness.ledger().claim(run_id, harness.ingestion_id, 1)
    assert claim is not None
    await harness.ledger().release(claim)
    store = ReadObjects(harness)
    await harness.scan(run_id, harness.scans(objects=store))
    assert (keys, Totals(files_skipped=5)) == (store.read, await harness.totals(run_id))


async def test_a_key_that_a_listing_names_twice_is_looked_at_each_time(harness: Harness) -> None:
    """The ledger is asked for the later version alone: of the other one nothing is known."""
    harness.put(*names(2))
    await run_and_look(harness)
    store = TwiceObjects(harness)
    for _ in range(2):
        run_id = await harness.new_run()
        await harness.scan(run_id, harness.scans(objects=store))
    assert 2 * [*names(2), *names(2)] == store.read


class TwiceObjects(ReadObjects):
    """Tells everything twice, as one portion."""

    async def stretches(
        self, bucket: str, prefixes: Sequence[str], credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        async for stretches in super().stretches(bucket, prefixes, credentials):
            yield [*stretches, *(Stretch(bytes(reversed(s.fingerprint or b"")), s.read) for s in stretches)]
