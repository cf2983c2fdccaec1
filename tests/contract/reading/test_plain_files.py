"""The faster way through files of JSON gives what the other one gives, or proves nothing."""

import asyncio
import json
import random
from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest

from libs.common.contracts.definition import Format
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Field, Struct
from services.executor.adapters import batch_files
from services.executor.adapters.reading.json_lines import JsonLines
from services.executor.adapters.reading.origin import Origin
from services.executor.adapters.reading.plain_files import FILE_BYTES_MAX, PIECE_BYTES, plain_files
from services.executor.domain.audit import FileRead
from tests.contract.reading.place import Place
from tests.contract.reading.test_json_plain import made_up
from tests.contract.table.worlds import Spark, stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

NDJSON = Format(type="json")
SCHEMA = Struct(tuple(Field(name, type_) for name, type_ in (("i", "bigint"), ("s", "string"), ("d", "double"))))
FILES = 120
ENDS = [
    "\n",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    " \n",
    "\n ",
    ", ",
    "",
    "\r",
    '\n"x"\n',
    "\n[]\n",
    "\nnull\n",
    "}\n{",
    "\n\ufeff",
]
ODD = [
    '{"i": 1, "x": 2}', '{"i": 1, "x": null}', '{"i": null}', '{"i": "a"}', '{"i": 1.5}', '{"d": NaN}', '{"s": NaN}',
    '{"i": 1}, {"i": 2}', '{"i": 1,\n"s": "b"}', '{"i": 1}{"i": 2}', '{"i": 1, "i": 2}', '{"s": {"a": 1}}',
    '{"s": "\\u003a", "x": 1}',
    '{"s": [{"a": 1}\n{"a": 2}]}', '{"x": [{"i": 1}\n{"i": 2}]}', "{}", "[]", "7", '{"i": 1\r}', '{"i": 1', '{"i" : 1}',
]  # fmt: skip


def plain_line(rng: random.Random) -> str:
    said: dict[str, Any] = {"i": rng.randrange(10**6), "s": rng.choice(['a: "b" \n\\', "é:", "", "a[", "a{x}", ":"])}
    if rng.random() < 0.5:
        said["d"] = rng.choice([0.5, 1e-9, -3.0])
    return json.dumps(said, ensure_ascii=False)


def a_file(seed: int) -> bytes:
    """Plain lines, in every second file with something among them that is odd, or oddly put."""
    rng = random.Random(seed)
    lines = [plain_line(rng) for _ in range(20)]
    if seed % 2 == 0:
        return ("\n".join(lines) + rng.choice(["", "\n"])).encode()
    at = rng.randrange(len(lines))
    between, end = "\n", rng.choice(["", "\n"])
    match rng.randrange(4):
        case 0:
            lines[at] = next(islice(made_up(seed), 1 + rng.randrange(40), None))
        case 1:
            between, end = rng.choice(ENDS), rng.choice([end, "\n\n", "\n "])
        case _:
            lines[at] = ODD[seed // 2 % len(ODD)]
    return ("\n".join(lines[:at]) + between + "\n".join(lines[at:]) + end).encode()


def at_once(spark: Spark, files: Sequence[FileVersion]) -> tuple[list[Any], dict[bytes, FileRead] | None]:
    """The records, and what was read if it is proved."""
    found = plain_files(Origin(spark.sessions[0], spark.scheme), files, SCHEMA)
    assert found is not None
    rows = found.records.select("uri", "row.i", "row.s", "row.d").collect()
    return sorted(map(repr, rows)), found.proved(len(rows))


def by_lines(spark: Spark, files: Sequence[FileVersion]) -> dict[str, tuple[list[Any], bool]]:
    """By URI: the records that are rows, and whether there is anything else in the file, or anything to say of it."""
    records = JsonLines().records(Origin(spark.sessions[0], spark.scheme), files, SCHEMA)
    found: dict[str, tuple[list[Any], bool]] = {}
    for row in records.selectExpr(
        "uri", "row.i", "row.s", "row.d", "blank OR bad OR size(unknown) > 0 AS odd"
    ).collect():
        rows, odd = found.setdefault(row["uri"], ([], False))
        rows.append(row[:4])
        found[row["uri"]] = rows, odd or row["odd"]
    return found


async def test_what_is_proved_is_what_lines_give(spark: Spark, place: Place) -> None:
    files = [place.put(f"{n:03}.json", a_file(n)) for n in range(FILES)]
    looked = await asyncio.to_thread(by_lines, spark, files)
    proved = 0
    for n, file in enumerate(files):
        rows, read = await asyncio.to_thread(at_once, spark, [file])
        expected, is_odd = looked[file.uri]
        if read is None:
            assert n % 2, f"{a_file(n)!r} is plain"
            continue
        proved += n % 2
        assert not is_odd, a_file(n)
        assert read == {file.digest: FileRead(len(expected), len(expected))}, a_file(n)
        assert rows == sorted(map(_shown, expected)), a_file(n)
    assert 0 < proved < FILES / 4, "some of what is odd is plain all the same"


def _shown(row: Sequence[Any]) -> str:
    return f"Row(uri={row[0]!r}, i={row[1]!r}, s={row[2]!r}, d={row[3]!r})"


@pytest.mark.parametrize(
    "body",
    [
        '{"i": 1}, {"i": 2}]}\n{}\n',  # what follows the end of an array is never parsed
        '{"i": 1}, {"i": 2}, {"i": 3}]}\n{garbage}\n{more}',
        '{"i": 1}, null, {"i": 2}]}\n{}\n{}',
        '{"i": 1}, {"autoloader:end": true}]}\n{}\n',
        '{"i": 1}, {"i": 2}\n{"s": "a}\n{b"}\n',  # one line too many, and one too few
        """{"i": 1}, {"i": 2}\n{"s": 'a}\n{b'}\n""",
        '{"s": [{}\n{}]}\n{"i": 1}, {"i": 2}\n',
        '{"x": [{}\n{}]}\n{"i": 1}, {"i": 2}\n',
    ],
)
async def test_faults_that_make_up_for_each_other_prove_nothing(spark: Spark, place: Place, body: str) -> None:
    _, read = await asyncio.to_thread(at_once, spark, [place.put("a", body.encode())])
    assert read is None


async def test_a_large_file_is_cut_where_lines_end(spark: Spark, place: Place) -> None:
    rng = random.Random(7)
    lines = [plain_line(rng) for _ in range(3 * PIECE_BYTES // 40)]
    lines[len(lines) // 2] = json.dumps({"i": 1, "s": "é" * 30_000}, ensure_ascii=False)
    file, small = place.put("large", "\n".join(lines).encode()), place.put("small", b'{"i": 1}')
    assert file.size_bytes > 2 * PIECE_BYTES
    rows, read = await asyncio.to_thread(at_once, spark, [file, small])
    assert {file.digest: FileRead(len(lines), len(lines)), small.digest: FileRead(1, 1)} == read
    assert len(rows) == len(lines) + 1


async def test_lines_too_long_to_be_cut_between_are_loaded_the_other_way(place: Place) -> None:
    long = json.dumps({"i": 2, "s": "x" * 2 * PIECE_BYTES})
    file = place.put("a", f'{{"i": 1}}\n{long}\n{{"i": 3}}\n'.encode())
    loaded = await place.load(NDJSON, [file])
    assert [FileRead(3, 3)] == loaded.reads
    assert [1, 2, 3] == [row["i"] for row in loaded.rows("i")]


async def test_files_that_are_not_plain_are_read_again_and_lose_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad line, one empty line and one unknown field among the files of a batch."""
    monkeypatch.setattr(batch_files, "PLAIN_BYTES_MIN", 0)
    first = place.put("first", b'{"i": 0}\n')
    table = place.table(NDJSON)
    schema = await table.create(await table.infer([first]))
    files = [
        place.put("plain", b'{"i": 1}\n{"i": 2}\n'),
        place.put("bad", b'{"i": 3}\n{"i": "x"}\n\n'),
        place.put("grown", b'{"i": 4, "n": null}\n'),
        place.put("empty", b""),
    ]
    staged = await stage(table, files, schema)
    read = [staged.read_of(f) for f in files]
    assert [FileRead(2, 2), FileRead(3, 1, 1), FileRead(1, 1), FileRead()] == read
    assert {files[2].digest: frozenset({"n"})} == staged.unknown_fields


def test_there_is_no_such_way_through_others(spark: Spark) -> None:
    """Too large, compressed, nested, or of no column."""

    def way(name: str = "a.json", size: int = 10, schema: Struct = SCHEMA) -> object:
        file = FileVersion("b", name, "v", size, None)  # type: ignore[arg-type]  # nobody asks when
        return plain_files(Origin(spark.sessions[0], spark.scheme), [file], schema)

    assert way(size=FILE_BYTES_MAX + 1) is None
    assert way("a.json.gz") is None
    assert way(schema=Struct(())) is None
    assert way(schema=Struct((Field("o", SCHEMA),))) is None
    assert way(schema=Struct((Field("v", "variant"),))) is None
