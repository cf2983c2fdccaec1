"""What the one pass over a batch's files sees: each file's lines, rows and bad lines, exactly, and new fields."""

import gzip
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from libs.common.errors import Temporary
from libs.common.schema import Array, Field, Map, Struct
from services.executor.domain.audit import FileRead
from services.executor.domain.schema_change import Addition
from services.executor.ports import FilesUnreadable, SourceChanged
from tests.contract.table.worlds import ID, World, lines, load, read_of, rows, stage

pytestmark = pytest.mark.contract

BODIES = {
    "plain": (rows([1, 2]), FileRead(2, 2)),
    "no last newline": (b'{"id": 1}\n{"id": 2}', FileRead(2, 2)),
    "CRLF": (b'{"id": 1}\r\n\r\n{"id": 2}\r\n', FileRead(3, 2)),
    "blank lines": (b'\n{"id": 1}\n  \t\n', FileRead(3, 1)),
    "byte order mark": (b'\xef\xbb\xbf{"id": 1}\n', FileRead(1, 1)),
    "only a newline": (b"\n", FileRead(1, 0)),
    "nothing": (b"", FileRead(0, 0)),
    "no fields": (b"{}\n", FileRead(1, 1)),
    "null": (b'{"id": null}\n', FileRead(1, 1)),
    "unfinished": (b'{"id": 1}\n{"id": ', FileRead(2, 1, 1)),
    "not JSON": (b'{"id": 1}\nhello\n', FileRead(2, 1, 1)),
    "arrays and scalars": (b'[{"id": 1}]\n7\n"x"\nnull\n', FileRead(4, 0, 4)),
    "two on a line": (b'{"id": 1}{"id": 2}\n{"id": 3},{"id": 4}\n{"id": 5} x\n{"id": 6}]\n', FileRead(4, 0, 4)),
    "other types": (b'{"id": "x"}\n{"id": 1.5}\n{"id": [1]}\n{"id": true}\n', FileRead(4, 0, 4)),
    "Latin-1": (b'{"id": 1, "n": "caf\xe9"}\n{"id": 2, "n": "caf\xc3\xa9"}\n', FileRead(2, 1, 1)),
    "UTF-16": ('{"id": 1}\n'.encode("utf-16"), FileRead(2, 0, 2)),
    "NUL": (b'{"id": 1}\0\n', FileRead(1, 0, 1)),
    "U+2028 is no line's end": ('{"id": 1, "n": "a\u2028b"}\n'.encode(), FileRead(1, 1)),
    "gzip": (gzip.compress(rows([1, 2])), FileRead(2, 2)),
    "gzip in two members": (gzip.compress(rows([1])) + gzip.compress(rows([2])), FileRead(2, 2)),
    "gzip of nothing": (gzip.compress(b""), FileRead(0, 0)),
}


async def test_every_line_of_every_file_is_accounted_for(world: World) -> None:
    """Lines = rows + blank + bad, per file, all in one batch; the snapshot holds the rows."""
    await world.one.create(ID)
    files = {
        name: world.put(f"{n}.json{'.gz' if name.startswith('gzip') else ''}", body)
        for n, (name, (body, _)) in enumerate(BODIES.items())
    }
    staged = await stage(world.one, list(files.values()))
    assert {name: read for name, (_, read) in BODIES.items()} == {n: read_of(staged, f) for n, f in files.items()}
    assert (sum(read.rows for _, read in BODIES.values()), 0) == (staged.added_records, staged.stray_lines)


KEYS = [
    "sp ace.json",
    "plus+and%41%.json",
    "hash#1.json",
    "why?.json",
    "star*.json",
    "set[1].json",
    "either{a,b}.json",
    "back\\slash.json",
    "quote'.json",
    'double".json',
    "2025-01-01T00:00:00Z.json",
    "smile😀.json",
    "caf\u00e9.json",
    "cafe\u0301.json",
    "year=2025/month=01/x.json",
    "id=7/x.json",
    "a%2Fb.json",
    "dots..json",
    " lead.json",
    "trail ",
    "no-suffix",
    "$&;,@:|<>^`~.json",
]


async def test_a_file_is_read_under_its_exact_name(world: World) -> None:
    """What Hadoop, URLs or shells give a meaning to has none in a key; folders like k=v make no column."""
    await world.one.create(ID)
    files = [world.put(f"keys/{key}", rows(range(n + 1))) for n, key in enumerate(KEYS)]
    staged = await stage(world.one, files)
    assert {key: FileRead(n + 1, n + 1) for n, key in enumerate(KEYS)} == {
        key: read_of(staged, file) for key, file in zip(KEYS, files, strict=True)
    }
    assert ID == await world.one.infer(files)


async def test_a_file_that_is_gone_is_told_from_one_that_is_broken(world: World) -> None:
    """The object store knows which one it is."""
    await world.one.create(ID)
    files = [world.put("a.json", rows([1])), world.put("b[1].json", rows([2]))]
    world.delete(files[1])
    with pytest.raises(SourceChanged):
        await stage(world.one, files)
    with pytest.raises(SourceChanged):
        await world.one.infer(files)


async def test_files_that_can_never_be_read_are_named_all_at_once(world: World) -> None:
    """Cut short, damaged, or not gzip at all. The others are not to blame, and load without them."""
    await world.one.create(ID)
    whole = gzip.compress(rows(range(2000)))
    good = [world.put("good 1+1.json.gz", whole), world.put("plain.json", rows([1]))]
    broken = [
        world.put("cut+%20.json.gz", whole[:1000]),
        world.put("cut at its end.json.gz", whole[:-4]),
        world.put("damaged.json.gz", whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]),
        world.put("plain text.json.gz", rows([1])),
    ]
    for read in (stage(world.one, [*good, *broken]), world.one.infer([*broken, *good])):
        with pytest.raises(FilesUnreadable) as told:
            await read
        assert {f.digest for f in broken} == set(told.value.reasons)
        assert all(told.value.reasons.values())
    assert 2001 == (await stage(world.one, good)).added_records


NESTED = Struct(
    (
        Field("id", "bigint"),
        Field("s", Struct((Field("x", "bigint"), Field("d'e", Struct((Field("p", "bigint"),)))))),
        Field("l", Array(Struct((Field("x", "bigint"), Field("l", Array(Struct((Field("x", "bigint"),)))))))),
        Field("m", Map("string", Struct((Field("x", "bigint"),)))),
    )
)


async def test_new_fields_are_found_wherever_they_are(world: World) -> None:
    """At the root, in structs, in every element of arrays, in the values of maps; each with the file that has it."""
    await world.one.create(NESTED)
    cases: dict[str, tuple[dict[str, Any], AbstractSet[str]]] = {
        "known": ({"id": 1, "s": {"x": 1}, "l": [{"x": 1, "l": [{"x": 1}]}], "m": {"any": {"x": 1}}}, frozenset()),
        "nulls": ({"id": 1, "s": None, "l": None, "m": {"k": None}}, frozenset()),
        "empty": ({"l": [None, {}, {"l": []}], "m": {}, "s": {}}, frozenset()),
        "root": ({"id": 1, "new": 1, "other name": None}, {"new", "other name"}),
        "struct": ({"s": {"x": 1, "new": {"deep": 1}}}, {"s.new"}),
        "quoted": ({"s": {"d'e": {"new": 1}}}, {"s.d'e.new"}),
        "array": ({"l": [{"x": 1}, {"x": 2, "new": 1}]}, {"l.element.new"}),
        "array in array": ({"l": [{"l": [{"x": 1}]}, {"l": [{"new": 1}]}]}, {"l.element.l.element.new"}),
        "map": ({"m": {"a": {"x": 1}, "b": {"new": 1}}}, {"m.value.new"}),
        "other case": ({"ID": 1}, {"ID"}),
    }
    files = {name: world.put(f"{name}.json", lines(value)) for name, (value, _) in cases.items()}
    staged = await stage(world.one, list(files.values()), NESTED)
    found = {name: staged.unknown_fields.get(file.digest, frozenset()) for name, file in files.items()}
    assert {name: names for name, (_, names) in cases.items()} == found
    assert len(cases) == staged.added_records


async def test_a_field_that_is_there_is_not_added_again(world: World) -> None:
    """By another executor, in another spelling, or twice in one call: the first wins, readers see one column."""
    await world.one.create(NESTED)
    new = [Addition(("region",), "string"), Addition(("l", "element", "n"), "bigint"), Addition(("s", "n"), "bigint")]
    first = await world.one.add(new)
    assert first == await world.other.add([*new, Addition(("REGION",), "bigint"), Addition(("s", "N"), "string")])
    assert ["id", "s", "l", "m", "region", "zone"] == [
        f.name for f in (await world.one.add([Addition(("zone",), "string"), Addition(("Zone",), "bigint")])).fields
    ]
    assert await world.one.schema() == await world.other.schema()


async def test_a_column_that_came_meanwhile_is_filled_with_nulls(world: World) -> None:
    """Another batch widened the table between this one's look at it and its stage."""
    await world.one.create(ID)
    await world.other.add([Addition(("region",), "string")])
    staged = await stage(world.one, [world.put("a.json", rows([1, 2]))], ID)
    await world.one.publish(staged.snapshot_id)
    assert [1, 2] == await world.ids()


async def test_a_nested_field_that_came_meanwhile_asks_for_another_look(world: World) -> None:
    """Spark fills no nulls inside a struct. It may pass by itself: the next attempt knows the field."""
    await world.one.create(NESTED)
    await world.other.add([Addition(("s", "new"), "bigint")])
    file = world.put("a.json", lines({"id": 1, "s": {"x": 1}}))
    with pytest.raises(Temporary) as told:
        await stage(world.one, [file], NESTED)
    assert "schema_changed" == told.value.code
    schema = await world.one.schema()
    assert schema is not None
    assert 1 == (await stage(world.one, [file], schema)).added_records


async def test_a_line_without_a_required_value_is_bad(world: World) -> None:
    """The user's table says NOT NULL: the line is named, instead of the whole write failing over and over."""
    required = Struct((Field("id", "bigint", required=True), Field("n", "bigint")))
    assert required == await world.one.create(required)
    file = world.put("a.json", lines({"id": 1}, {"n": 2}, {"id": None, "n": 3}))
    staged = await stage(world.one, [file], required)
    assert FileRead(3, 1, 2) == read_of(staged, file)
    assert 2 == await world.one.first_bad_line(file, required)


async def test_a_table_without_a_column_takes_no_row(world: World) -> None:
    """The first file of an ingestion has only empty objects: nothing could hold them, so they count as bad."""
    file = world.put("a.json", b"{}\n{}\n")
    assert Struct() == await world.one.create(await world.one.infer([file]))
    staged = await stage(world.one, [file], Struct())
    assert (FileRead(2, 0, 2), 0) == (read_of(staged, file), staged.added_records)
    schema = await world.one.add([Addition(("id",), "bigint")])
    assert 2 == (await stage(world.one, [world.put("b.json", rows([1, 2]))], schema)).added_records


async def test_files_without_a_record_show_no_field(world: World) -> None:
    """Nothing to learn from, and no error."""
    files = [world.put("a.json", b""), world.put("b.json", b"\n"), world.put("c.json", b"what?\n")]
    assert Struct() == await world.one.infer(files)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"id": 1}\n\n{"id": \n{"id": 2}\n', 3),
        (b'{"id": "x"}\n', 1),
        (rows(range(60_000)) + b"late\n" + rows([1]) + b"later\n", 60_001),
        (rows([1]), None),
        (b"", None),
    ],
)
async def test_the_first_bad_line_has_its_number(world: World, body: bytes, line: int | None) -> None:
    """Counted from 1 with blank lines, also in a file that is large enough to be cut for several cores."""
    assert line == await world.one.first_bad_line(world.put("a.json", body), ID)


async def test_the_first_bad_line_of_a_gzip_has_its_number(world: World) -> None:
    """Lines as they are inside."""
    file = world.put("a.json.gz", gzip.compress(rows([1, 2]) + b"broken\n"))
    assert 3 == await world.one.first_bad_line(file, ID)


async def test_looking_for_a_bad_line_leaves_the_table_alone(world: World) -> None:
    """And what follows in the same session is as before."""
    await world.one.create(ID)
    await world.one.first_bad_line(world.put("a.json", b"bad\n"), ID)
    await load(world, 1, 2)
    assert [1, 2] == await world.ids()
