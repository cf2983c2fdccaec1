"""Plain text: every line is a row, as it stands in the file."""

from typing import Any

import pytest

from libs.common.contracts.definition import Format
from services.executor.domain.audit import FileRead
from tests.contract.reading.packed import PACKED
from tests.contract.reading.place import Place

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

LINES = [f'{i}\tl\u00efne, "quoted" {{}}' for i in range(50)] + ["", "  ", "last"]
ENCODINGS = ["utf-8", "latin-1", "windows-1252", "utf-16", "iso-8859-15"]


def text_format(**options: Any) -> Format:
    return Format.model_validate({"type": "text", "options": options})


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_line_is_a_row_in_every_encoding_and_compression(place: Place, encoding: str, end: str) -> None:
    """Blank ones too; the end of the last line begins no other. Every compression is a file of one batch."""
    body = "".join(line + end for line in LINES).encode(encoding)
    files = [place.put(f"a.txt{suffix}", packed(body)) for suffix, packed in PACKED.values()]
    loaded = await place.load(text_format(encoding=encoding), files)
    assert {"value": "string"} == loaded.types
    assert [FileRead(len(LINES), len(LINES))] * len(files) == loaded.reads
    for file in files:
        assert sorted(LINES) == [row["value"] for row in loaded.rows_of(file)]


async def test_what_is_no_text_of_the_encoding_is_bad(place: Place) -> None:
    """Never a row with other letters than the file's."""
    files = [place.put("a.txt", b"caf\xe9\ncaf\xc3\xa9\n"), place.put("b.txt", b""), place.put("c.txt", b"\n")]
    loaded = await place.load(text_format(), files)
    assert [FileRead(2, 1, 1), FileRead(), FileRead(1, 1)] == loaded.reads
    files = [place.put("d.txt", b"a\x81b\n\x80\n")]
    loaded = await place.load(text_format(encoding="windows-1252"), files)
    assert [FileRead(2, 1, 1)] == loaded.reads
    assert ["\u20ac"] == [row["value"] for row in loaded.rows()]
