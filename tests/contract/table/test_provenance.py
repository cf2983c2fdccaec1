"""Columns that say where rows came from: filled in the pass that stages, and never taken for the data's."""

import pytest

from libs.common.contracts.definition import MetadataColumn
from libs.common.errors import AutoloaderError
from libs.common.schema import Field, Struct
from services.executor.domain.audit import FileRead
from services.executor.domain.from_keys import from_keys, marked
from services.executor.domain.provenance import MARK, lacking_provenance, with_provenance
from services.executor.domain.schema_change import Addition
from tests.contract.table.worlds import ID, RUN, World, lines, read_of, rows, stage

pytestmark = pytest.mark.contract
ALL: tuple[MetadataColumn, ...] = ("_file_path", "_file_version", "_loaded_at", "_run_id")


async def test_each_row_says_where_it_came_from(world: World) -> None:
    """Path, version and run of its own file, whatever the key holds; and when it was read."""
    schema = await world.one.create(with_provenance(ID, ALL))
    files = [world.put("a.json", rows([1, 2])), world.put("sp ace+%41=x/b.json", rows([3]))]
    staged = await stage(world.one, files, schema)
    assert [FileRead(2, 2), FileRead(1, 1)] == [read_of(staged, f) for f in files]
    await world.one.publish(staged.snapshot_id)
    one, two = files
    expected = [
        (1, one.uri, one.version_tag, RUN),
        (2, one.uri, one.version_tag, RUN),
        (3, two.uri, two.version_tag, RUN),
    ]
    assert expected == await world.records("id", "_file_path", "_file_version", "_run_id")
    assert all(when for (when,) in await world.records("_loaded_at"))


async def test_the_table_knows_which_columns_are_ours(world: World) -> None:
    """By their comments, also for whoever opens it later; so they are not added twice."""
    await world.one.create(with_provenance(ID, ALL))
    schema = await world.other.schema()
    assert schema is not None
    assert with_provenance(ID, ALL) == schema
    assert () == lacking_provenance(world.one.name, schema, ALL)


async def test_a_table_that_was_there_gets_them_and_old_rows_have_none(world: World) -> None:
    """Switched on later: what was loaded before cannot say any more where it came from."""
    await world.one.create(ID)
    before = await stage(world.one, [world.put("a.json", rows([1]))])
    await world.one.publish(before.snapshot_id)
    lacking = lacking_provenance(world.one.name, ID, ("_run_id",))
    schema = await world.one.add([Addition.of(f) for f in lacking])
    after = await stage(world.one, [world.put("b.json", rows([2]))], schema)
    await world.one.publish(after.snapshot_id)
    assert [(1, None), (2, RUN)] == await world.records("id", "_run_id")
    assert [MARK in f.comment for f in schema.fields] == [False, True]


async def test_a_field_of_the_same_name_is_unknown_and_goes_nowhere(world: World) -> None:
    """In a file. The protocol tells it as a clash; the column keeps what we know."""
    schema = await world.one.create(with_provenance(ID, ("_run_id",)))
    file = world.put("a.json", lines({"id": 1, "_run_id": "forged"}))
    staged = await stage(world.one, [file], schema)
    assert {file.digest: frozenset({"_run_id"})} == staged.unknown_fields
    await world.one.publish(staged.snapshot_id)
    assert [(1, RUN)] == await world.records("id", "_run_id")


async def test_each_row_has_what_the_key_of_its_file_says(world: World) -> None:
    """And not what its record says. Bad records are found beside it as ever."""
    await world.one.create(Struct((*ID.fields, Field("year", "string"), Field("day", "string"))))
    schema = marked(Struct((*ID.fields, Field("year", "string"), Field("day", "string"))), frozenset({"year", "day"}))
    files = [
        world.put("year=2025/day=%C3%A4+b/a.json", lines({"id": 1, "year": "forged"}, {"id": 2})),
        world.put("year=__HIVE_DEFAULT_PARTITION__/b.json", lines({"id": 3}) + b"no\n"),
    ]
    staged = await stage(world.one, files, schema, from_keys=from_keys(files, schema, "").values)
    assert [FileRead(2, 2), FileRead(2, 1, 1)] == [read_of(staged, f) for f in files]
    assert {files[0].digest: frozenset({"year"})} == staged.unknown_fields
    await world.one.publish(staged.snapshot_id)
    told = [(1, "2025", "\u00e4+b"), (2, "2025", "\u00e4+b"), (3, None, None)]
    assert told == await world.records("id", "year", "day")


async def test_a_column_of_the_tables_own_is_left_alone(world: World) -> None:
    """Without our mark it is the data's, and asking for ours of that name is refused."""
    schema = await world.one.create(await world.one.infer([world.put("a.json", lines({"id": 1, "_run_id": "x"}))]))
    staged = await stage(world.one, [world.put("b.json", lines({"id": 2, "_run_id": "mine"}))], schema)
    await world.one.publish(staged.snapshot_id)
    assert [(2, "mine")] == await world.records("id", "_run_id")
    with pytest.raises(AutoloaderError) as told:
        lacking_provenance(world.one.name, schema, ("_run_id",))
    assert "metadata_column_taken" == told.value.code
