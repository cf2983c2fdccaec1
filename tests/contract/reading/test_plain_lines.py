"""Lines that are read inside of Spark give what lines read as text give, and nearly none of those that are plain is
looked at twice."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
from pyspark.sql import DataFrame

from libs.common.contracts.definition import Format
from libs.common.contracts.schema_rules import RESCUED_DATA
from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Array, Field, Map, Struct
from services.executor.adapters.reading import json_lines, plain_lines
from services.executor.adapters.reading.json_lines import JsonLines
from services.executor.adapters.reading.origin import Origin
from services.executor.domain.audit import FileRead
from services.executor.domain.provenance import with_provenance
from tests.contract.reading.place import Place
from tests.contract.reading.test_json_plain import NAMES, SCHEMA, VALUES, made_up
from tests.contract.table.worlds import Spark, stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

NDJSON = Format(type="json")
FLAT = Struct(tuple(Field(name, type_) for name, type_ in (("i", "bigint"), ("s", "string"), ("d", "double"))))
OTHERS = Struct(
    (
        Field("i", "decimal(6,2)"),
        Field("s", "date"),
        Field("d", "float"),
        Field("t", "timestamp_ntz"),
        Field("l", Array(Struct((Field("a", "int"), Field("x", "boolean"))))),
        Field("o", Map("string", "string")),
        Field("x", "variant"),
    )
)
TEXTS = Struct(tuple(Field(name, "string") for name in ("i", "s", "d", "t", "l", "o", "x", "a:b", "")))
RESCUING = with_provenance(SCHEMA, (), RESCUED_DATA)
REQUIRING = Struct((Field("i", "bigint", required=True), Field("s", "string"), Field("x", "binary")))
COMPARED = "uri, version, file, to_json(row) AS row, blank, bad, unknown, misfits, outside"
PARTS = {"spark.sql.files.maxPartitionBytes": "700", "spark.sql.files.openCostInBytes": "1"}
FILES = 120
MORE_VALUES = ["1.50", "1E3", "0.30000000000000004", "12345678901234567890.5", '"2025-01-07"', '"12.345"', '"=="', "-0",
               '{"a":  1.50}', '[1.50, {"a" : 1}]', '"\\ud800"', '"\U0001f600"', '[{"a": 1, "a": 2}]', '{"k": null}',
               '{"k": "v", "k": "w"}', '[{"a": 1, "x": "no"}]', "9223372036854775808"]  # fmt: skip
ENDS = ["\n", "\n", "\n", "\n\n", "\r\n", " \n", "\n ", ", ", "", "\r", '\n"x"\n', "\n[]\n", "\nnull\n", "}\n{",
        "\n\ufeff"]  # fmt: skip
ODD = [
    '{"i": 1, "x": 2}', '{"i": 1, "x": null}', '{"i": null}', '{"i": "a"}', '{"i": 1.5}', '{"d": NaN}', '{"s": NaN}',
    '{"i": 1}, {"i": 2}', '{"i": 1,\n"s": "b"}', '{"i": 1}{"i": 2}', '{"i": 1, "i": 2}', '{"s": {"a": 1}}',
    '{"i": 1, "i": null}', '{"i": null, "i": 1}', '{"_autoloader_corrupt": null}', '{"_autoloader_corrupt": "a"}',
    '{"s": "\\u003a", "x": 1}', '{"o": {"i": 1, "i": 2}}', '{"o": {"i": null, "s": "a", "z": 1}}', '{"d": "NaN"}',
    '{"s": [{"a": 1}\n{"a": 2}]}', '{"x": [{"i": 1}\n{"i": 2}]}', "{}", "[]", "7", '{"i": 1\r}', '{"i": 1', '{"i" : 1}',
]  # fmt: skip


def plain_line(rng: random.Random) -> str:
    said: dict[str, Any] = {"i": rng.randrange(10**6), "s": rng.choice(['a: "b" \n\\', "é:", "", "a[", "a{x}", ":"])}
    if rng.random() < 0.5:
        said["d"] = rng.choice([0.5, 1e-9, -3.0, None])
    return json.dumps(said, ensure_ascii=rng.random() < 0.5)


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
            lines[at:at] = islice(made_up(seed), 1, 40)
        case 1:
            between, end = rng.choice(ENDS), rng.choice([end, "\n\n", "\n "])
        case _:
            lines[at:at] = [ODD[seed // 2 % len(ODD)], _of_any_kind(rng), _of_any_kind(rng)]
    return ("\n".join(lines[:at]) + between + "\n".join(lines[at:]) + end).encode()


def _of_any_kind(rng: random.Random) -> str:
    fields = (f"{name}: {rng.choice(VALUES + MORE_VALUES)}" for name in rng.sample(NAMES[:7], rng.randint(1, 3)))
    return "{" + ", ".join(fields) + "}"


def both_ways(spark: Spark, files: Sequence[FileVersion], schema: Struct, folder: str | None = None) -> list[DataFrame]:
    """The records of these files, read inside of Spark and as text."""
    origin = Origin(spark.sessions[0], spark.scheme, folder=folder)
    lines = origin.text(files).withColumnRenamed("value", "raw")
    return [JsonLines().records(origin, files, schema), json_lines.parse(origin.with_files(lines, files), schema)]


def told(records: DataFrame) -> Counter[str]:
    return Counter(map(repr, records.selectExpr(*COMPARED.split(", ")).collect()))


@pytest.mark.parametrize(
    "schema",
    [FLAT, SCHEMA, OTHERS, TEXTS, RESCUING, REQUIRING],
    ids=["flat", "nested", "others", "texts", "rescuing", "requiring"],
)
async def test_both_ways_say_the_same_of_each_line(spark: Spark, place: Place, schema: Struct) -> None:
    """Over files that are cut into parts."""
    files = [place.put(f"{n:03}.json", a_file(n)) for n in range(FILES)]
    invalid = place.put("invalid.json", b'{"i": 1}\n{"s": "\xff"}\n{"s": "\xed\xa0\x80"}\n{"\xff": 1}\n{"i": 2}\xff\n')
    wide = place.put("wide.json", '{"i": 1}'.encode("utf-16-le"))

    def look() -> tuple[Counter[str], Counter[str]]:
        session = spark.sessions[0]
        for name, value in PARTS.items():
            session.conf.set(name, value)
        try:
            inside, as_text = both_ways(spark, [*files, invalid, wide], schema)
            return told(inside), told(as_text)
        finally:
            for name in PARTS:
                session.conf.unset(name)

    inside, as_text = await asyncio.to_thread(look)
    assert as_text - inside == inside - as_text == Counter()


async def test_hardly_any_plain_line_is_looked_at_twice(spark: Spark, place: Place) -> None:
    """Nor is one with an escape, a null, a colon in a text or a name twice. All that are odd are."""
    plain = [place.put(f"{n:03}.json", a_file(n)) for n in range(0, FILES, 2)]
    odd = place.put("odd.json", b'{"i": 1, "n": null}\n{"i": 1} {}\n{"d": NaN}\n\n{"i": "a"}\n')

    def look() -> tuple[int, int]:
        inside = [both_ways(spark, files, FLAT)[0] for files in (plain, [odd])]
        first, second = (frame.where("raw IS NOT NULL").count() for frame in inside)
        return first, second

    assert (0, 5) == await asyncio.to_thread(look)


async def test_counts_are_exact_in_however_many_parts_a_file_is_read(spark: Spark, place: Place) -> None:
    """Where Spark merges the bins of its tasks, it reckons."""
    table = place.table(NDJSON)
    schema = await table.create(await table.infer([place.put("first", b'{"i": 0, "s": "a"}\n')]))
    lines = [*['{"i": 1, "s": "abcdefghij"}'] * 7, '{"i": "x"}', "", '{"i": 2}']
    files = [place.put(f"{n}.json", ("\n".join(lines * (60 + n)) + "\n").encode()) for n in range(5)]
    session = spark.sessions[0]
    for name, value in PARTS.items():
        session.conf.set(name, value)
    try:
        staged = await stage(table, files, schema)
    finally:
        for name in PARTS:
            session.conf.unset(name)
    expected = [FileRead((60 + n) * 10, (60 + n) * 8, 60 + n) for n in range(5)]
    assert expected == [staged.read_of(f) for f in files]


async def test_a_folder_s_other_files_are_not_read(spark: Spark, place: Place) -> None:
    files = [place.put(f"{n}.json", b'{"i": 1}\n') for n in range(3)]
    place.put("other.json", b'{"i": 2}\n')
    folder = files[0].key.rpartition("/")[0] + "/"

    def look() -> list[Counter[str]]:
        return [told(records) for records in both_ways(spark, files, FLAT, folder)]

    inside, as_text = await asyncio.to_thread(look)
    assert inside == as_text
    assert sum(inside.values()) == len(files)


async def test_a_server_that_does_not_take_it_reads_lines_as_text(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_lines, "lent", lambda _: False)
    file = place.put("a.json", b'{"i": 1}\n{"i": 2}\n')
    loaded = await place.load(NDJSON, [file])
    assert [1, 2] == [row["i"] for row in loaded.rows("i")]


async def test_files_that_are_not_plain_lose_nothing(place: Place) -> None:
    """One bad line, one empty line and one unknown field among the files of a batch."""
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
