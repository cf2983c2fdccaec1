"""What the ledger knows of a source as a whole: when it was listed last, and what is not finished."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.completeness.watermark import MARGIN
from libs.common.contracts.definition import Source
from libs.common.contracts.events import Problem
from libs.common.ids import BatchId
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion, Refusal
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import FileState
from tests.contract.ledger.test_replacements import load, loaded, replacing, taken
from tests.contract.ledger.worlds import Order, World, batch_of, claimed, new_order, version

pytestmark = pytest.mark.contract
SOURCE = Source(path="s3://landing/")
MADE = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
OLD = version("a")
YOUNG = replace(version("b"), last_modified=OLD.last_modified + DAY)
BAD = Problem(error_type="unparsable_file", message="it is bad")


async def list_all(
    world: World, order: Order, *batches: tuple[FileVersion, ...], failed: tuple[FileVersion, ...] = ()
) -> tuple[datetime, list[BatchId]]:
    """A whole listing that found these; when it began, and its batches."""
    claim = await claimed(world, order)
    made = tuple(batch_of(*files) for files in batches)
    page = Page(
        taken=tuple(f for files in batches for f in files),
        batches=made,
        refused=tuple(Refusal(f, BAD) for f in failed),
    )
    await world.scanner().complete(claim, page, (), is_whole=True)
    return claim.began_at, [b.id for b in made]


async def claim_of(world: World, batch_id: BatchId) -> BatchClaim:
    claim = await world.executor().claim(batch_id)
    assert claim is not None
    return claim


async def watermark(world: World, claim: BatchClaim, source: Source = SOURCE) -> datetime | None:
    return await world.executor().watermark(claim, source, MADE)


async def probe(world: World, order: Order) -> BatchClaim:
    """A batch of a run that did not list all: its files do not count where it is asked for itself."""
    claim = await claimed(world, order)
    batch = batch_of(version("probe", order.run_id.hex))
    await world.scanner().complete(claim, Page(taken=batch.files, batches=(batch,)), ())
    return await claim_of(world, batch.id)


async def test_there_is_none_before_the_first_whole_listing(world: World) -> None:
    """Runs of a part prove nothing of the rest."""
    assert await watermark(world, await probe(world, new_order())) is None


async def test_the_last_batch_moves_it_to_where_the_listing_began(world: World) -> None:
    """Its own files count as loaded: the answer goes into the snapshot that loads them."""
    order = new_order()
    began, [batch_id] = await list_all(world, order, (OLD, YOUNG))
    assert began - MARGIN == await watermark(world, await claim_of(world, batch_id))


async def test_it_waits_for_the_oldest_file_of_other_batches(world: World) -> None:
    """Until that is loaded."""
    order = new_order()
    began, [first, second] = await list_all(world, order, (OLD,), (YOUNG,))
    one, other = await claim_of(world, first), await claim_of(world, second)
    assert YOUNG.last_modified - MARGIN == await watermark(world, one)
    assert OLD.last_modified - MARGIN == await watermark(world, other)
    await load(world, one)
    assert began - MARGIN == await watermark(world, other)


async def test_of_two_listings_the_later_beginning_counts(world: World) -> None:
    """Whichever ended last."""
    order = new_order()
    early, late = await claimed(world, order), await claimed(world, order.next_run())
    await world.scanner().complete(late, Page(), (), is_whole=True)
    await world.scanner().complete(early, Page(), (), is_whole=True)
    assert late.began_at - MARGIN == await watermark(world, await probe(world, order.next_run()))


async def test_a_failed_file_holds_it_until_a_later_version_came(world: World) -> None:
    """Which then counts by itself."""
    order = new_order()
    await list_all(world, order, failed=(OLD,))
    asked = await probe(world, order.next_run())
    assert OLD.last_modified - MARGIN == await watermark(world, asked)
    mended = replace(OLD, etag="v2", last_modified=OLD.last_modified + DAY)
    began, [batch_id] = await list_all(world, order.next_run(), (mended,))
    assert mended.last_modified - MARGIN == await watermark(world, asked)
    await load(world, await claim_of(world, batch_id))
    assert began - MARGIN == await watermark(world, asked)


async def test_a_failed_file_that_the_definition_leaves_out_holds_nothing(world: World) -> None:
    """By name or by age: that is how its user lets go of it."""
    order = new_order()
    began, _ = await list_all(world, order, failed=(OLD,))
    asked = await probe(world, order.next_run())
    assert OLD.last_modified - MARGIN == await watermark(world, asked)
    by_name = Source(path="s3://landing/", file_pattern="*.json")
    by_age = Source(path="s3://landing/", modified_after=OLD.last_modified)
    assert [began - MARGIN] * 2 == [await watermark(world, asked, source) for source in (by_name, by_age)]


async def test_a_missing_file_holds_it_until_the_next_whole_listing(world: World) -> None:
    """Which has not met it: it is gone."""
    order = new_order()
    _, [batch_id] = await list_all(world, order, (OLD,))
    claim = await claim_of(world, batch_id)
    await world.executor().burned(claim, BurnVerdict({OLD.digest: Fate(FileState.MISSING, BAD)}))
    asked = await probe(world, order.next_run())
    assert OLD.last_modified - MARGIN == await watermark(world, asked)
    began, _ = await list_all(world, order.next_run())
    assert began - MARGIN == await watermark(world, asked)


async def test_a_given_up_file_holds_it(world: World) -> None:
    """Nothing is wrong with it; the next run takes it."""
    order = new_order()
    _, [batch_id] = await list_all(world, order, (OLD,))
    fate = Fate(FileState.DISCOVERED)
    await world.executor().burned(await claim_of(world, batch_id), BurnVerdict({OLD.digest: fate}, BAD))
    assert OLD.last_modified - MARGIN == await watermark(world, await probe(world, order.next_run()))


async def test_a_later_version_on_its_way_holds_it_and_a_plain_reload_does_not(world: World) -> None:
    """``allow_overwrites: replace``: the rows that are there are an old version's."""
    order = (await loaded(world, "a")).next_run()
    again = await claimed(world, order)
    reload = replacing(version("a"))
    await world.scanner().complete(again, Page(batches=(reload,)), (), is_whole=True)
    asked = await probe(world, order.next_run())
    assert again.began_at - MARGIN == await watermark(world, asked)
    await load(world, await taken(world, reload.id))
    newer = replace(version("a", "v2"), last_modified=YOUNG.last_modified)
    listing, batch = await claimed(world, order.next_run()), replacing(newer)
    await world.scanner().complete(listing, Page(batches=(batch,)), (), is_whole=True)
    assert YOUNG.last_modified - MARGIN == await watermark(world, asked)
    claim = await taken(world, batch.id)
    await world.executor().burned(claim, BurnVerdict({newer.digest: Fate(FileState.DISCOVERED)}, BAD))
    assert YOUNG.last_modified - MARGIN == await watermark(world, asked)
