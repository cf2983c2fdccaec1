"""The first record of a CSV file: its header, or how many columns it has. Pure."""

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from libs.common.contracts.definition import FormatOptions
from libs.common.encodings import UTF_8, is_wide

DELIMITER: Final = ","
QUOTE: Final = '"'
_LINE_ENDS: Final = ("\n", "\r")


class NoHeader(ValueError):
    """The message says why, as the end of a sentence about the file."""


@dataclass(frozen=True, slots=True)
class CsvHead:
    """``columns`` are the names in the file's order; ``lines`` is how many it has before its first row, blank ones
    among them; ``is_all``: it has no row."""

    columns: tuple[str, ...] = ()
    lines: int = 0
    is_all: bool = False


def csv_head(body: bytes, options: FormatOptions, *, is_all: bool) -> CsvHead | None:
    """What the first bytes of a file say; ``is_all``: it has no more. None: they are too few to tell.

    Raises:
        NoHeader: a header that cannot name columns.
    """
    encoding = options.encoding or UTF_8
    lines = _lines(_text(body, encoding))
    blank = next((i for i, line in enumerate(lines) if line.strip()), None)
    if blank is None:
        return CsvHead(is_all=True) if is_all else None
    cells, used = _record(lines[blank:], options)
    after = blank + used
    if not is_all and not (lines[after - 1].endswith(_LINE_ENDS) and after < len(lines)):
        return None  # it may go on
    if options.header is False:
        return CsvHead(tuple(f"_c{i}" for i in range(len(cells))))
    names = _names([_meant(cell, encoding) for cell in cells])
    return CsvHead(names, after, is_all and not any(line.strip() for line in lines[after:]))


def _text(body: bytes, encoding: str) -> str:
    """Text in which lines and cells can be told apart; what they mean is ``_meant``."""
    if is_wide(encoding):
        return body.decode(encoding, "replace").removeprefix("\ufeff")
    return body.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def _meant(cell: str, encoding: str) -> str:
    try:
        name = cell if is_wide(encoding) else cell.encode("latin-1").decode(encoding)
    except UnicodeDecodeError as e:
        raise NoHeader(f"its header is no {encoding}; say in format.options.encoding what it is") from e
    if "\ufffd" in name or "\0" in name:
        raise NoHeader(f"its header is no {encoding}; say in format.options.encoding what it is")
    return name


def _lines(text: str) -> list[str]:
    """With their ends; LF, CR and CRLF end a line, as in Spark, and nothing else does."""
    return list(io.StringIO(text, newline=""))


def _record(lines: Sequence[str], options: FormatOptions) -> tuple[list[str], int]:
    """The cells of the first record, and how many lines it takes."""
    quote = options.quote if options.quote is not None else QUOTE
    doubles = options.escape in (None, quote)
    if not options.multiline:
        escaped = 0 if doubles else lines[0].count(f"{options.escape}{quote}")
        if quote and (lines[0].count(quote) - escaped) % 2:
            raise NoHeader(
                "its first line has a quote that is not closed; set format.options.multiline if cells span lines"
            )
        lines = lines[:1]
    reader = csv.reader(
        lines,
        delimiter=options.delimiter or DELIMITER,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        escapechar=None if doubles else options.escape,
        doublequote=doubles,
    )
    return next(reader), reader.line_num


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    """A column without a name is called after its place, as Spark does."""
    names = tuple(cell or f"_c{i}" for i, cell in enumerate(cells))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NoHeader(f"its header names {', '.join(map(repr, twice))} twice")
    return names
