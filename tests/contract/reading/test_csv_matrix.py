"""CSV in every compression and with every option: what arrives is what pyarrow reads from the same bytes."""

import csv
import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
import pytest_asyncio

from libs.common.contracts.definition import Format
from services.executor.domain.audit import FileRead
from tests.contract.reading.packed import PACKED
from tests.contract.reading.place import Loaded, Place

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

ROWS = 60
RECORDS: list[list[Any]] = [
    [i, f"n\u00e9 {i}", i / 8 - 3, ("true", "false")[i % 2], f"00{i}", ("", f'a "quoted", {i}')[i % 2]]
    for i in range(ROWS)
]
NAMES = ["id", "name", "price", "is new", "code", "note"]


@dataclass(frozen=True)
class Option:
    """What the definition says, how such a file is written, and how pyarrow is told the same."""

    options: dict[str, Any]
    written: dict[str, Any]
    parse: dict[str, Any]
    read: dict[str, Any]
    encoding: str = "utf-8"
    header: bool = True
    breaks: str = " "


OPTIONS = {
    "default": Option({}, {}, {}, {}),
    "delimiter ;": Option({"delimiter": ";"}, {"delimiter": ";"}, {"delimiter": ";"}, {}),
    "delimiter tab": Option({"delimiter": "\t"}, {"delimiter": "\t"}, {"delimiter": "\t"}, {}),
    "quote '": Option({"quote": "'"}, {"quotechar": "'"}, {"quote_char": "'"}, {}),
    "all quoted": Option({}, {"quoting": csv.QUOTE_NONNUMERIC}, {}, {}),
    "escape": Option(
        {"escape": "\\"},
        {"escapechar": "\\", "doublequote": False},
        {"escape_char": "\\", "double_quote": False},
        {},
    ),
    "no header": Option(
        {"header": False}, {}, {}, {"column_names": [f"_c{i}" for i in range(len(NAMES))]}, header=False
    ),
    "CRLF": Option({}, {"lineterminator": "\r\n"}, {}, {}),
    "latin-1": Option({"encoding": "latin-1"}, {}, {}, {"encoding": "latin-1"}, "latin-1"),
    "windows-1252": Option({"encoding": "windows-1252"}, {}, {}, {"encoding": "windows-1252"}, "windows-1252"),
    "utf-16": Option({"encoding": "utf-16"}, {}, {}, {"encoding": "utf-16"}, "utf-16"),
    "multiline": Option({"multiline": True}, {}, {"newlines_in_values": True}, {}, breaks="\n"),
    "multiline CRLF": Option(
        {"multiline": True}, {"lineterminator": "\r\n"}, {"newlines_in_values": True}, {}, breaks="\r\n"
    ),
    "multiline utf-16": Option(
        {"multiline": True, "encoding": "utf-16"}, {}, {"newlines_in_values": True}, {"encoding": "utf-16"}, "utf-16",
        breaks="\n",
    ),
}  # fmt: skip


def written(option: Option) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, **{"lineterminator": "\n", **option.written})
    if option.header:
        writer.writerow(NAMES)
    writer.writerows([[*r[:1], r[1].replace(" ", option.breaks), *r[2:]] for r in RECORDS])
    return text.getvalue().encode(option.encoding)


def expected(option: Option, body: bytes) -> list[dict[str, Any]]:
    """By pyarrow, with the columns that are text by our rules left as they are written."""
    code = NAMES[4] if option.header else "_c4"
    found = pa.csv.read_csv(
        io.BytesIO(body),
        read_options=pa.csv.ReadOptions(**option.read),
        parse_options=pa.csv.ParseOptions(**option.parse),
        convert_options=pa.csv.ConvertOptions(
            column_types={code: pa.string()},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    return found.to_pylist()  # type: ignore[no-any-return]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=OPTIONS)
async def batch(request: pytest.FixtureRequest, shared_place: Place) -> tuple[Option, Loaded]:
    """All compressions of one option, as one batch."""
    option = OPTIONS[request.param]
    files = [
        shared_place.put(f"{name}.csv{suffix}", packed(written(option))) for name, (suffix, packed) in PACKED.items()
    ]
    format_ = Format.model_validate({"type": "csv", "options": option.options})
    return option, await shared_place.load(format_, files)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("compression", PACKED)
async def test_a_cell_is_read_as_pyarrow_reads_it(batch: tuple[Option, Loaded], compression: str) -> None:
    """Row for row and type for type."""
    option, loaded = batch
    at = list(PACKED).index(compression)
    assert FileRead(ROWS, ROWS) == loaded.reads[at]
    assert expected(option, written(option)) == loaded.rows_of(loaded.files[at])
    assert ["int64", "string", "double", "bool", "string", "string"] == list(loaded.types.values())
