"""Rows that take the place of others of the same files: one snapshot, good for one state of the table, and no other row
is touched."""

import pytest

from libs.common.errors import AutoloaderError
from libs.common.ledger.model.batches import NO_SNAPSHOT
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Struct
from services.executor.domain.evidence import ROWS_REMOVED
from services.executor.domain.provenance import lacking_provenance, with_provenance
from services.executor.domain.replacing import FileRows
from services.executor.domain.schema_change import Addition
from services.executor.ports import Copy
from tests.contract.table.worlds import ID, RUN, World, a_wap_id, burn, rows, stage

pytestmark = pytest.mark.contract
NAMED: Struct = with_provenance(ID, ("_file_path",))


async def loaded(world: World) -> list[FileVersion]:
    """Three files of two rows each, in one batch."""
    await world.one.create(NAMED)
    files = [world.put(f"{name}.json", rows([n, n + 10])) for n, name in enumerate("abc")]
    staged = await stage(world.one, files, NAMED)
    await world.one.publish(staged.snapshot_id)
    return files


async def copy_of(world: World, file: FileVersion, ids: list[int], wap_id: str) -> Copy:
    """A staged copy in which the file has these rows."""
    key = file.key.rsplit("/", 1)[-1]
    staged = await stage(world.one, [world.put(key, rows(ids))], NAMED, f"rows:{wap_id}")
    return await world.one.stage_replacement(
        staged.snapshot_id, [file.uri], wap_id, {"autoloader.run": RUN, ROWS_REMOVED: "2"}
    )


async def test_rows_are_counted_by_the_file_that_they_name(world: World) -> None:
    """As of any snapshot; those of others, and those that name none, apart."""
    a, b, _ = await loaded(world)
    await world.append(100)
    now = await world.one.file_rows([a.uri, b.uri, "s3://nowhere/x"])
    assert FileRows(now.snapshot_id, {a.uri: 2, b.uri: 2}, nameless=1, total=7) == now
    staged = await stage(world.one, [world.put("d.json", rows([7]))], NAMED)
    then = await world.other.file_rows([a.uri], staged.snapshot_id)
    assert FileRows(staged.snapshot_id, {a.uri: 2}, nameless=1, total=8) == then


async def test_an_empty_table_holds_no_rows_of_any_file(world: World) -> None:
    """It has no snapshot either."""
    await world.one.create(NAMED)
    assert FileRows(NO_SNAPSHOT, {}, nameless=0, total=0) == await world.one.file_rows(["s3://b/a"])


async def test_rows_from_before_the_column_name_no_file(world: World) -> None:
    """Also when nothing was committed since the column was added: the snapshot itself has no such column."""
    await world.one.create(ID)
    file = world.put("a.json", rows([1, 2]))
    staged = await stage(world.one, [file])
    await world.one.publish(staged.snapshot_id)
    await world.one.add([Addition.of(f) for f in lacking_provenance(world.one.name, ID, ("_file_path",))])
    expected = FileRows(staged.snapshot_id, {}, nameless=2, total=2)
    assert expected == await world.other.file_rows([file.uri])


async def test_a_copy_is_invisible_until_it_is_published_in_one_step(world: World) -> None:
    """Old rows out, new rows in; others stay, and the read-back knows it, and how many rows went."""
    _, b, _ = await loaded(world)
    wap_id, before = a_wap_id(), await world.one.file_rows([b.uri])
    copy = await copy_of(world, b, [1, 21, 31], wap_id)
    assert before.snapshot_id == copy.parent_id
    assert [0, 1, 2, 10, 11, 12] == await world.ids()
    after = await world.one.file_rows([b.uri], copy.snapshot_id)
    assert FileRows(copy.snapshot_id, {b.uri: 3}, nameless=0, total=7) == after
    await world.one.publish(copy.snapshot_id)
    assert [0, 1, 2, 10, 12, 21, 31] == await world.ids()
    found = await world.other.published(wap_id)
    assert found is not None
    assert (copy.snapshot_id, False, 2) == (found.snapshot_id, found.is_burn, found.rows_removed)


@pytest.mark.parametrize("ids", [[], [1, 11]])
async def test_a_file_may_come_back_empty_or_as_it_was(world: World, ids: list[int]) -> None:
    """What is in it now is in the table, once."""
    _, b, _ = await loaded(world)
    copy = await copy_of(world, b, ids, a_wap_id())
    await world.one.publish(copy.snapshot_id)
    assert sorted([0, 2, 10, 12, *ids]) == await world.ids()


async def test_a_file_that_has_no_rows_yet_gets_them(world: World) -> None:
    """Nothing goes out: then the copy is an append, and may be published on top of other commits, once."""
    await loaded(world)
    wap_id = a_wap_id()
    copy = await copy_of(world, world.put("d.json", b""), [7], wap_id)
    await world.append(100)
    await world.one.publish(copy.snapshot_id)
    with pytest.raises(AutoloaderError):
        await world.one.publish(copy.snapshot_id)
    assert [0, 1, 2, 7, 10, 11, 12, 100] == await world.ids()
    assert await world.one.published(wap_id) is not None


async def test_a_file_without_rows_that_stays_without_is_published_all_the_same(world: World) -> None:
    """A snapshot that changes nothing: the batch needs its place in the ancestry."""
    await loaded(world)
    wap_id = a_wap_id()
    copy = await copy_of(world, world.put("d.json", b""), [], wap_id)
    await world.one.publish(copy.snapshot_id)
    found = await world.one.published(wap_id)
    assert found is not None
    assert not found.is_burn
    assert [0, 1, 2, 10, 11, 12] == await world.ids()


async def test_a_commit_in_between_makes_the_copy_worthless(world: World) -> None:
    """It is refused, whoever it was that committed; one that is staged anew is taken."""
    _, b, _ = await loaded(world)
    wap_id = a_wap_id()
    copy = await copy_of(world, b, [21], wap_id)
    await world.append(100)
    with pytest.raises(AutoloaderError):
        await world.one.publish(copy.snapshot_id)
    assert await world.one.published(wap_id) is None
    await world.one.publish((await copy_of(world, b, [21], wap_id)).snapshot_id)
    assert [0, 2, 10, 12, 21, 100] == await world.ids()


async def test_of_two_copies_on_one_state_one_is_taken(world: World) -> None:
    """Two executors with one batch, or two reloads that race: the second is refused for good."""
    _, b, _ = await loaded(world)
    wap_id = a_wap_id()
    first, second = [await copy_of(world, b, [21], wap) for wap in (wap_id, wap_id)]
    await world.other.publish(second.snapshot_id)
    for copy in (first, second):
        with pytest.raises(AutoloaderError):
            await world.one.publish(copy.snapshot_id)
    assert [0, 2, 10, 12, 21] == await world.ids()


async def test_a_copy_from_before_a_burn_is_refused(world: World) -> None:
    """The burn is a commit like any other."""
    _, b, _ = await loaded(world)
    wap_id = a_wap_id()
    copy = await copy_of(world, b, [21], wap_id)
    await world.other.publish(await burn(world.other, wap_id))
    with pytest.raises(AutoloaderError):
        await world.one.publish(copy.snapshot_id)
    found = await world.one.published(wap_id)
    assert found is not None
    assert found.is_burn
    assert [0, 1, 2, 10, 11, 12] == await world.ids()


async def test_a_burn_after_the_copy_is_refused(world: World) -> None:
    """The copy has won; the read-back says so."""
    _, b, _ = await loaded(world)
    wap_id = a_wap_id()
    copy = await copy_of(world, b, [21], wap_id)
    burning = await burn(world.other, wap_id)
    await world.one.publish(copy.snapshot_id)
    with pytest.raises(AutoloaderError):
        await world.other.publish(burning)
    found = await world.other.published(wap_id)
    assert found is not None
    assert not found.is_burn
    assert [0, 2, 10, 12, 21] == await world.ids()


async def test_a_wap_id_does_not_stop_a_copy_that_is_staged_on_top(world: World) -> None:
    """The one thing that Iceberg does not check of an overwrite. So the protocol asks the ledger *after* it staged, and
    a copy from before somebody else's end of the batch is never on top (docs/explanation/exactly-once.md)."""
    _, b, _ = await loaded(world)
    wap_id = a_wap_id()
    for _ in range(2):
        await world.one.publish((await copy_of(world, b, [21], wap_id)).snapshot_id)
    assert [0, 2, 10, 12, 21] == await world.ids()
