"""A page is held against the ledger in one question: what is settled is counted, and the rest is told in full."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ids import new_batch_id, new_ingestion_id, new_run_id
from libs.common.ledger.known import known_versions, look
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion, KnownVersion, Looked, last_of_each
from libs.common.ledger.model.scans import Page
from libs.common.ledger.states import LIVE_FILE_STATES, LOADED_FILE_STATES, FileState, ScanState
from libs.common.ledger.tables import file, scan
from libs.common.selection.select import Terms, select
from libs.common.selection.standing import KeyStanding
from libs.common.storage.engine import Database
from tests.contract.ledger.test_overwrites import add
from tests.contract.ledger.test_replacements import BAD, loaded, taken
from tests.contract.ledger.worlds import World, batch_of, claimed, new_order, version, versions

pytestmark = pytest.mark.contract
OLD, NEW = version("a", "v1"), version("a", "v2")


async def test_what_another_run_loaded_is_settled(world: World) -> None:
    """A new key beside it is not, nor is another version."""
    order = (await loaded(world, "a", "b")).next_run()
    claim = await claimed(world, order)
    a, b, c = versions("a", "b", "c")
    assert Looked((), {}, settled=2) == await world.scanner().look(claim, [a, b])
    found = await world.scanner().look(claim, [a, c, NEW])
    assert ((NEW, c), {a.digest}, 0) == (found.files, set(found.known), found.settled)
    assert Looked((), {}) == await world.scanner().look(claim, [])


async def test_what_this_run_loaded_is_told(world: World) -> None:
    """It is no file that the run skipped."""
    order = await loaded(world, "a")
    claim = replace(await claimed(world, order.next_run()), run_id=order.run_id)
    known = {OLD.digest: (KnownVersion("v1:10", FileState.COMMITTED, order.run_id),)}
    assert Looked((OLD,), known) == await world.scanner().look(claim, [OLD])


async def test_other_ingestions_and_generations_settle_nothing(world: World) -> None:
    await loaded(world, "a")
    assert Looked((OLD,), {}) == await world.scanner().look(await claimed(world, new_order()), [OLD])


async def test_a_key_is_open_while_another_version_of_it_is_in_work(world: World) -> None:
    """Also if the version that is there now is loaded: somebody wrote it back."""
    order = (await loaded(world, "a")).next_run()
    batch_id = await add(world, order, NEW)
    claim = await claimed(world, order.next_run())
    found = await world.scanner().look(claim, [OLD])
    assert {v.state for v in found.known[OLD.digest]} == {FileState.COMMITTED, FileState.BATCHED}
    await world.executor().burned(await taken(world, batch_id), BurnVerdict({NEW.digest: Fate(FileState.FAILED, BAD)}))
    assert Looked((), {}, settled=1) == await world.scanner().look(claim, [OLD])


async def test_what_waits_or_is_in_a_batch_is_told(world: World) -> None:
    order = new_order()
    a, b = versions("a", "b")
    await world.scanner().record(await claimed(world, order), Page(taken=(a, b), batches=(batch_of(a),)))
    found = await world.scanner().look(await claimed(world, order.next_run()), [a, b])
    assert ((a, b), 0) == (found.files, found.settled)
    assert [FileState.BATCHED, FileState.DISCOVERED] == [found.known[f.digest][0].state for f in (a, b)]


# --- any ledger, any page: the same work as by asking for everything ------------------------------------------------

MINE, LISTING, OVER = new_run_id(), new_run_id(), new_run_id()
KEYS, VERSIONS = [f"k{n:03}" for n in range(300)], ["v1", "v2", "v3"]


def histories(dice: random.Random) -> Iterator[dict[str, Any]]:
    """Of most keys some versions, in any states that Postgres lets stand beside each other."""
    for key in KEYS:
        has_live = False
        for etag in dice.sample(VERSIONS, dice.randrange(4)):
            state = dice.choice([FileState.COMMITTED, FileState.BASELINE, dice.choice(list(FileState))])
            if state in LIVE_FILE_STATES and has_live and state not in LOADED_FILE_STATES:
                continue
            f = version(key, etag)
            yield {
                "key_digest": f.digest,
                "version_tag": f.version_tag,
                "bucket": f.bucket,
                "key": f.key,
                "etag": f.etag,
                "size_bytes": f.size_bytes,
                "last_modified": datetime(2025, 1, 7, tzinfo=UTC),
                "state": state,
                "run_id": dice.choice([MINE, LISTING, OVER]),
                "batch_id": new_batch_id() if state is FileState.BATCHED else None,
                "overwritten": state in LOADED_FILE_STATES and has_live,
                "error_type": dice.choice([None, "bad_file", "file_overwritten"]),
            }
            has_live = has_live or state in LIVE_FILE_STATES


def page_of(dice: random.Random) -> list[FileVersion]:
    """Some keys that the ledger has, and some that it never saw; a few of them twice."""
    keys = dice.choices([*KEYS, *(f"new{n}" for n in range(20))], k=250)
    return [version(key, dice.choice(VERSIONS)) for key in keys]


async def put_scans(connection: AsyncConnection) -> None:
    """The runs: two that list, and one that is over."""
    states = {MINE: ScanState.SCANNING, LISTING: ScanState.SCANNING, OVER: ScanState.ENDED}
    rows = [
        {"run_id": run_id, "ingestion_id": new_ingestion_id(), "generation": 1, "state": state}
        for run_id, state in states.items()
    ]
    await connection.execute(insert(scan).on_conflict_do_nothing(), rows)


@pytest.mark.parametrize("seed", range(20))
async def test_the_same_files_are_taken_as_by_asking_for_every_version(database: Database, seed: int) -> None:
    """On a real Postgres: SQL says the same as ``KeyStanding.is_settled``, and ``select`` does the same work."""
    dice, ingestion_id = random.Random(seed), new_ingestion_id()
    rows = [row | {"ingestion_id": ingestion_id, "generation": 1} for row in histories(dice)]
    page = page_of(dice)
    async with database.begin() as connection:
        await put_scans(connection)
        await connection.execute(file.insert(), rows)
        known = await known_versions(connection, ingestion_id, 1, page, run_id=MINE)
        looked = await look(connection, ingestion_id, 1, page, run_id=MINE)
    settled = [f for d, f in last_of_each(page).items() if KeyStanding(f, known.get(d, ()), MINE).is_settled]
    assert 20 < len(settled) == looked.settled
    assert [f for f in last_of_each(page).values() if f not in settled] == list(looked.files)
    for policy in ("skip", "append", "replace", "fail"):
        terms = Terms(policy)
        rest = select(looked.files, looked.known, MINE, terms)
        assert select(page, known, MINE, terms) == replace(rest, skipped=rest.skipped + looked.settled)
