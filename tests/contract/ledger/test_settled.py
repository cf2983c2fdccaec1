"""Stretches of a listing that hold nothing new are recognised, for as long as the ledger would say the same of each of
their files."""

import random
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ids import new_ingestion_id, new_run_id
from libs.common.ledger import settled
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.model.settled import Tally
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import file, settled_break, settled_stretch
from libs.common.storage.engine import Database
from tests.contract.ledger.test_look import histories, put_scans
from tests.contract.ledger.test_overwrites import add
from tests.contract.ledger.test_replacements import BAD, load, loaded, reload, taken
from tests.contract.ledger.worlds import Order, World, batch_of, claimed, new_order, version, versions

pytestmark = pytest.mark.contract
HERE, THERE = b"here" * 8, b"there" * 8
TALLY, OTHER = Tally(9, 5, 2), Tally(1, 0, 0)
OLD, NEW = version("a", "v1"), version("a", "v2")


async def epoch_of(world: World, claim: ScanClaim) -> int:
    return (await world.scanner().recognise(claim, [])).epoch


async def remembered(world: World, order: Order) -> ScanClaim:
    """A scan that has found two stretches with nothing to do."""
    claim = await claimed(world, order)
    await world.scanner().remember(claim, await epoch_of(world, claim), {HERE: TALLY, THERE: OTHER})
    return claim


async def known(world: World, order: Order) -> dict[bytes, Tally]:
    """What a later scan recognises."""
    claim = await claimed(world, order.next_run())
    return dict((await world.scanner().recognise(claim, [HERE, THERE, b"never seen"])).tallies)


async def test_what_one_scan_found_settled_the_next_one_recognises(world: World) -> None:
    """With what was counted in it. Nothing else is known, and nothing without a question."""
    order = (await loaded(world, "a")).next_run()
    claim = await remembered(world, order)
    assert {HERE: TALLY, THERE: OTHER} == await known(world, order)
    assert {} == (await world.scanner().recognise(claim, [])).tallies
    assert {HERE: TALLY} == (await world.scanner().recognise(claim, [HERE])).tallies


async def test_it_may_be_learnt_twice(world: World) -> None:
    order = new_order()
    await remembered(world, order)
    await remembered(world, order.next_run())
    assert {HERE: TALLY, THERE: OTHER} == await known(world, order)


async def test_other_ingestions_know_nothing_of_it(world: World) -> None:
    await remembered(world, new_order())
    assert {} == await known(world, new_order())


async def test_new_files_change_nothing(world: World) -> None:
    """They are found, put into a batch, and loaded, or not: what was settled is."""
    order = (await loaded(world, "a")).next_run()
    await remembered(world, order)
    first, second = versions("b", "c")
    page = Page(taken=(first, second), batches=(batch_of(first), batch_of(second)))
    await world.scanner().record(await claimed(world, order := order.next_run()), page)
    await load(world, await taken(world, page.batches[0].id))
    verdict = BurnVerdict({second.digest: Fate(FileState.FAILED, BAD)})
    await world.executor().burned(await taken(world, page.batches[1].id), verdict)
    assert {HERE: TALLY, THERE: OTHER} == await known(world, order)


async def test_a_version_that_is_taken_beside_a_loaded_one_makes_scans_look_again(world: World) -> None:
    """When it is taken, and again when what became of it is tried anew."""
    order = (await loaded(world, "a")).next_run()
    await remembered(world, order)
    batch_id = await add(world, order := order.next_run(), NEW)
    assert {} == await known(world, order)
    await world.executor().burned(await taken(world, batch_id), BurnVerdict({NEW.digest: Fate(FileState.FAILED, BAD)}))
    await remembered(world, order := order.next_run())
    assert {HERE: TALLY, THERE: OTHER} == await known(world, order)
    await add(world, order := order.next_run(), NEW)
    assert {} == await known(world, order)


async def test_rows_that_give_way_make_scans_look_again(world: World) -> None:
    """When it is done, not while it is on its way: until then they are loaded."""
    order = (await loaded(world, "a", "b")).next_run()
    await remembered(world, order)
    batch_id = await reload(world, order := order.next_run(), NEW)
    assert {HERE: TALLY, THERE: OTHER} == await known(world, order)
    await load(world, await taken(world, batch_id))
    assert {} == await known(world, order)


async def test_what_was_seen_before_a_break_does_not_count_after_it(world: World) -> None:
    """A scan asks, something ceases to be loaded, and then the scan tells what it has found."""
    order = (await loaded(world, "a")).next_run()
    claim = await claimed(world, order)
    before = await epoch_of(world, claim)
    await add(world, order.next_run(), NEW)
    await world.scanner().remember(claim, before, {HERE: TALLY})
    assert {} == await known(world, order)
    await world.scanner().remember(claim, await epoch_of(world, claim), {HERE: TALLY})
    assert {HERE: TALLY} == await known(world, order)


# --- Postgres alone: the triggers, and what is tidied up --------------------------------------------------------------


def a_claim() -> ScanClaim:
    return ScanClaim(new_run_id(), new_ingestion_id(), 2, 1, 1, datetime(2026, 11, 28, tzinfo=UTC))


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_is_done_to_a_loaded_row_is_a_break_and_nothing_else_is(database: Database, seed: int) -> None:
    """By hand, too."""
    dice, claim = random.Random(seed), a_claim()
    rows = [row | {"ingestion_id": claim.ingestion_id, "generation": 2} for row in histories(dice)]
    async with database.begin() as connection:
        await put_scans(connection)
        await connection.execute(file.insert(), rows)
    by_state = {state: [r for r in rows if r["state"] is state] for state in FileState}
    for state, of_state in by_state.items():
        for change in (
            update(file).values(error_message="looked at"),
            update(file).values(last_modified=func.now()),
            file.delete(),
        ):
            if not of_state:
                continue
            one = of_state.pop()
            before = await _epoch(database, claim)
            async with database.begin() as connection:
                done = await connection.execute(
                    change.where(
                        file.c.ingestion_id == claim.ingestion_id,
                        file.c.key_digest == one["key_digest"],
                        file.c.version_tag == one["version_tag"],
                    )
                )
                assert 1 == done.rowcount
            was_loaded = state in (FileState.COMMITTED, FileState.BASELINE)
            assert was_loaded == (before != await _epoch(database, claim)), (state, change)


async def test_many_breaks_become_one_and_no_epoch_comes_twice(database: Database) -> None:
    """A scan that is slower than the tidying must not find its epoch again."""
    claim, epochs = a_claim(), set[int]()
    mine = {"ingestion_id": claim.ingestion_id, "generation": claim.generation}
    for _ in range(3):
        epochs.add(await _epoch(database, claim))
        async with database.begin() as connection:
            rows = [{**mine, "transaction": -n} for n in range(settled.BREAKS_MAX + 1)]
            await connection.execute(insert(settled_break), rows)
        epochs.add(await _epoch(database, claim))
        async with database.begin() as connection:
            await settled.tidy(connection, claim)
            assert 1 == await connection.scalar(select(func.count()).select_from(settled_break).filter_by(**mine))
    assert 6 == len(epochs)


async def test_a_transaction_is_one_break_also_where_a_backup_had_its_number(database: Database) -> None:
    """A reload changes its files one by one."""
    claim = a_claim()
    mine = {"ingestion_id": claim.ingestion_id, "generation": claim.generation}
    rows = [row | mine for row in histories(random.Random(1)) if row["state"] is FileState.COMMITTED]
    async with database.begin() as connection:
        await put_scans(connection)
        await connection.execute(file.insert(), rows)
    async with database.begin() as connection:
        number = await connection.scalar(text("SELECT pg_current_xact_id()::text::bigint"))
        for row in rows[:3]:
            await connection.execute(update(file).filter_by(**mine, key_digest=row["key_digest"]).values(row_count=7))
    async with database.begin() as connection:
        assert 1 == await connection.scalar(select(func.count()).select_from(settled_break).filter_by(**mine))
    before = await _epoch(database, claim)
    async with database.begin() as connection:
        now = await connection.scalar(text("SELECT pg_current_xact_id()::text::bigint"))
        assert now != number
        # As if a restored row had the number that this transaction has now: written by another one.
        async with database.begin() as another:
            await another.execute(update(settled_break).filter_by(**mine).values(transaction=now))
        await connection.execute(update(file).filter_by(**mine, key_digest=rows[3]["key_digest"]).values(row_count=7))
    assert before != await _epoch(database, claim)


async def test_who_empties_the_table_forgets_all_of_it(database: Database) -> None:
    """By hand, to fill it anew."""
    claim = a_claim()
    async with database.begin() as connection:
        await settled.remember(connection, claim, 0, {HERE: TALLY})
        await connection.execute(text("TRUNCATE ledger.file CASCADE"))
        assert [] == await known_to(connection, claim, HERE)
        await connection.rollback()


async def test_what_no_listing_shows_any_more_is_forgotten(database: Database) -> None:
    """A week after it was seen; and at once, when a refresh has begun another generation."""
    claim = a_claim()
    async with database.begin() as connection:
        await settled.remember(connection, claim, 0, {HERE: TALLY, THERE: OTHER, b"gone": OTHER})
        await connection.execute(update(settled_stretch).values(seen_on=func.current_date() - 6))
        _, unnoted = await settled.recognise(connection, claim, [HERE])
        assert [HERE] == unnoted
        await settled.note(connection, claim, unnoted)
        assert [] == (await settled.recognise(connection, claim, [HERE]))[1]
        await connection.execute(
            update(settled_stretch)
            .where(settled_stretch.c.fingerprint != THERE)
            .values(seen_on=settled_stretch.c.seen_on - 2)
        )
        await settled.tidy(connection, claim)
        assert [HERE, THERE] == await known_to(connection, claim, HERE, THERE, b"gone")
        later = ScanClaim(claim.run_id, claim.ingestion_id, 3, 1, 1, claim.began_at)
        await settled.tidy(connection, later)
        assert [] == await known_to(connection, claim, HERE, THERE)


async def _epoch(database: Database, claim: ScanClaim) -> int:
    async with database.begin() as connection:
        return (await settled.recognise(connection, claim, []))[0].epoch


async def known_to(connection: AsyncConnection, claim: ScanClaim, *fingerprints: bytes) -> list[bytes]:
    recognised, _ = await settled.recognise(connection, claim, fingerprints)
    return sorted(recognised.tallies)
