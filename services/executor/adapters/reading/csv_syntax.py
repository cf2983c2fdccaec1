"""How a CSV file is cut into records and cells, as SQL and Spark's options. Records are Latin (see ``encoding``)."""

import re
from dataclasses import dataclass
from functools import cached_property

from libs.common.contracts.definition import FormatOptions
from libs.common.csv_head import DELIMITER, QUOTE
from libs.common.schema import literal
from services.executor.adapters.reading.encoding import Encoding

# Of the noncharacters of Unicode, which no file holds as text: the value of a cell that has nothing, not even quotes.
_NOTHING = "\ufdd0"


@dataclass(frozen=True)
class Syntax:
    """What the definition says of CSV. An empty ``quote``: cells are never quoted."""

    delimiter: str
    quote: str
    escape: str
    encoding: Encoding
    has_header: bool
    spans_lines: bool
    null_value: str | None

    @classmethod
    def of(cls, options: FormatOptions) -> "Syntax":
        quote = options.quote if options.quote is not None else QUOTE
        return cls(
            delimiter=options.delimiter or DELIMITER,
            quote=quote,
            escape=options.escape or quote,
            encoding=Encoding.of(options.encoding),
            has_header=options.header is not False,
            spans_lines=options.multiline,
            null_value=options.null_value,
        )

    @property
    def needs_wholes(self) -> bool:
        """Whether a line's end does not show where a record ends."""
        return self.spans_lines or self.encoding.is_wide

    @property
    def options(self) -> dict[str, str]:
        """With which ``from_csv`` takes a record apart: an empty cell is null, an empty one in quotes an empty text."""
        return {
            "mode": "PERMISSIVE",
            "sep": self.delimiter,
            "quote": self.quote,
            "escape": self.escape,
            "nullValue": _NOTHING,
            "emptyValue": "",
            "maxColumns": "100000",
            "maxCharsPerColumn": "-1",
        }

    def is_open(self, text: str, last: str) -> str:
        """Whether a record ends inside of quotes: what opens its last cell closes nowhere, and the parser takes the
        rest for that cell."""
        if not self.quote:
            return "false"
        q = literal(self.quote)
        plain = text if self.escape == self.quote else f"replace({text}, {literal(self.escape + self.quote)}, '')"
        is_odd = f"(length({plain}) - length(replace({plain}, {q}, ''))) % 2 = 1"
        end = f"concat({q}, coalesce({last}, ''))"
        doubled = f"concat({q}, replace(coalesce({last}, ''), {q}, {literal(self.escape + self.quote)}))"
        return f"({is_odd} AND (endswith({text}, {end}) OR endswith({text}, {doubled})))"

    @cached_property
    def record(self) -> str:
        """A record of a piece of text, as a regular expression of Java. It never goes back: what looks like a quoted
        cell and is not closed in front of a delimiter is a cell with quotes in it."""
        delimiter = re.escape(self.delimiter)
        plain = f"[^{delimiter}\\r\\n]*+"
        cell = plain
        if self.quote:
            quote, escape = re.escape(self.quote), re.escape(self.escape)
            if self.escape == self.quote:
                inside = f"[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+"
            else:
                inside = f"[^{quote}{escape}]*+(?:{escape}(?s:.)[^{quote}{escape}]*+)*+"
            end = f"(?={delimiter}|[\\r\\n]|\\z)"
            cell = f"(?:{quote}{inside}{quote}{end}|{plain})"
        lines = cell if self.spans_lines else plain
        return f"{lines}(?:{delimiter}{lines})*+(?:\\r\\n|\\n|\\r|\\z)"
