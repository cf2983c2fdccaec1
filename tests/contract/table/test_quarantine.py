"""The quarantine beside a table: bad records staged under the batch's wap id, and published there once."""

import gzip

import pytest

from libs.common.errors import AutoloaderError
from libs.common.ids import new_batch_id as a_batch_id
from libs.common.ledger.model.files import BadRecord, BadRecords
from services.executor.domain.quarantine import FIRST_OF_A_FILE_MAX
from services.executor.ports import FilesUnreadable, SourceChanged
from tests.contract.table.worlds import ID, World, a_wap_id, rows, set_aside, stage

pytestmark = pytest.mark.contract


async def test_bad_records_are_staged_unseen_and_published_once(world: World) -> None:
    """By this executor and another one; whoever asks finds them under the wap id."""
    await world.one.create(ID)
    wap_id, file = a_wap_id(), world.put("a.json", rows([1]) + b"bad\n")
    assert None is await world.one.staged_bad_records(wap_id, "x")
    assert not await world.one.has_bad_records(wap_id)
    found = await set_aside(world.one, [file], wap_id, "x")
    assert {file.digest: BadRecords(1, (BadRecord(2, "not JSON", "bad"),))} == found
    assert [] == await world.quarantined()
    for table in (world.one, world.other):
        snapshot_id = await table.staged_bad_records(wap_id, "x")
        assert snapshot_id is not None
        if table is world.one:
            await table.publish_bad_records(snapshot_id)
        else:
            with pytest.raises(AutoloaderError):
                await table.publish_bad_records(snapshot_id)
        assert await table.has_bad_records(wap_id)
    assert [("a.json", 2, "bad")] == await world.quarantined()


async def test_two_attempts_at_a_batch_set_aside_one_copy(world: World) -> None:
    """Each finds its own; the second publish is refused, as that of another batch is not."""
    await world.one.create(ID)
    wap_id, file = a_wap_id(), world.put("a.json", b"bad\n")
    for attempt in ("x", "y"):
        await set_aside(world.one, [file], wap_id, attempt)
    first, second = [await world.one.staged_bad_records(wap_id, attempt) for attempt in ("x", "y")]
    assert None not in (first, second)
    assert first != second
    assert await world.other.staged_bad_records(wap_id, None) in (first, second)
    assert first is not None
    assert second is not None
    await world.one.publish_bad_records(second)
    with pytest.raises(AutoloaderError):
        await world.other.publish_bad_records(first)
    other_id, other = a_wap_id(), world.put("b.json", b"worse\n")
    await set_aside(world.other, [other], other_id, "z")
    third = await world.other.staged_bad_records(other_id, "z")
    assert third is not None
    await world.other.publish_bad_records(third)
    assert [("a.json", 1, "bad"), ("b.json", 1, "worse")] == await world.quarantined()


async def test_all_bad_records_of_many_files_are_counted_and_the_first_shown(world: World) -> None:
    """Files without one are absent, blank lines are none, and a gzip counts its own lines."""
    await world.one.create(ID)
    many = FIRST_OF_A_FILE_MAX + 5
    wap_id = a_wap_id()
    files = {
        "good.json": rows([1, 2]),
        "one.json": rows([1]) + b"\n" + b"bad\n" + rows([2]),
        "many.json": b"".join(b"bad %d\n" % n for n in range(many)),
        "packed.json.gz": gzip.compress(rows([1, 2]) + b'{"id": \n'),
    }
    put = {key: world.put(key, body) for key, body in files.items()}
    found = await set_aside(world.one, list(put.values()), wap_id, "x")
    assert {"one.json": 1, "many.json": many, "packed.json.gz": 1} == {
        key: found[f.digest].count for key, f in put.items() if f.digest in found
    }
    shown = found[put["many.json"].digest].first
    assert [(n + 1, f"bad {n}") for n in range(FIRST_OF_A_FILE_MAX)] == [(r.line, r.raw) for r in shown]
    assert (3, "a JSON object that is cut short") == (
        found[put["packed.json.gz"].digest].first[0].line,
        found[put["packed.json.gz"].digest].first[0].reason,
    )
    snapshot_id = await world.one.staged_bad_records(wap_id, "x")
    assert snapshot_id is not None
    await world.one.publish_bad_records(snapshot_id)
    assert many + 2 == len(await world.quarantined())


async def test_what_a_batch_set_aside_of_a_file_can_be_taken_out(world: World) -> None:
    """Twice changes nothing; other files, and other batches, stay. Without a quarantine there is nothing to do."""
    await world.one.create(ID)
    first, second = a_batch_id(), a_batch_id()
    a, b = world.put("a.json", b"a\n"), world.put("b.json", b"b\n")
    await world.one.remove_bad_records([first], [a.uri])
    for batch_id in (first, second):
        wap_id = f"al1:test:1:{batch_id}"
        await set_aside(world.one, [a, b], wap_id, "x")
        snapshot_id = await world.one.staged_bad_records(wap_id, "x")
        assert snapshot_id is not None
        await world.one.publish_bad_records(snapshot_id)
    for _ in range(2):
        await world.other.remove_bad_records([first], [a.uri])
        assert [("a.json", 1, "a"), ("b.json", 1, "b"), ("b.json", 1, "b")] == await world.quarantined()
    assert await world.one.has_bad_records(f"al1:test:1:{first}")


async def test_the_rows_in_the_table_say_which_attempt_they_belong_to(world: World) -> None:
    """Fast-forwarded, and picked after somebody else's commit."""
    await world.one.create(ID)
    file = world.put("a.json", rows([1]))
    for picked in (False, True):
        wap_id = a_wap_id()
        told = {"autoloader.batch": "b", "autoloader.run": "r", "autoloader.attempt": f"x{picked}"}
        staged = await world.one.stage([file], ID, wap_id, told)
        if picked:
            await world.append(7)
        await world.one.publish(staged.snapshot_id)
        found = await world.other.published(wap_id)
        assert found is not None
        assert f"x{picked}" == found.attempt


async def test_a_file_that_is_gone_or_broken_is_told_as_in_the_first_look(world: World) -> None:
    """It may have changed since."""
    await world.one.create(ID)
    gone, cut = world.put("gone.json", b"bad\n"), world.put("cut.json.gz", gzip.compress(rows(range(2000)))[:1000])
    world.delete(gone)
    with pytest.raises(SourceChanged):
        await set_aside(world.one, [gone], a_wap_id(), "x")
    with pytest.raises(FilesUnreadable) as told:
        await set_aside(world.one, [cut], a_wap_id(), "x")
    assert {cut.digest} == set(told.value.reasons)


async def test_setting_records_aside_leaves_the_table_alone(world: World) -> None:
    """Nothing of it is in the table, and the table's batches are not in the quarantine."""
    await world.one.create(ID)
    wap_id, file = a_wap_id(), world.put("a.json", rows([1]) + b"bad\n")
    await set_aside(world.one, [file], wap_id, "x")
    snapshot_id = await world.one.staged_bad_records(wap_id, "x")
    assert snapshot_id is not None
    await world.one.publish_bad_records(snapshot_id)
    assert None is await world.one.published(wap_id)
    assert [] == await world.ids()
    staged = await stage(world.one, [file])
    await world.one.publish(staged.snapshot_id)
    assert [1] == await world.ids()
    assert 1 == len(await world.quarantined())
