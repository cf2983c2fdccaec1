"""Which options of a format mean something, and which cannot be meant. Pure; see ``sense``."""

from collections.abc import Iterator
from typing import Final

from libs.common.contracts.definition import COMPRESSIONS, Format, FormatOptions
from libs.common.csv_head import DELIMITER, QUOTE
from libs.common.encodings import problem_with

_MEANT_FOR: Final = {
    "multiline": ("json", "csv"),
    "compression": ("json", "csv", "text"),
    "header": ("csv",),
    "delimiter": ("csv",),
    "quote": ("csv",),
    "escape": ("csv",),
    "encoding": ("csv", "text"),
    "null_value": ("csv",),
}


def of_format(sent: Format) -> Iterator[str]:
    """What is wrong with the options: each names the field, and what to write instead."""
    options = sent.options
    for name, types in _MEANT_FOR.items():
        if sent.type not in types and getattr(options, name) not in (None, False):
            yield f"format.options.{name} means nothing for {sent.type}; leave it out"
    if options.header is False and sent.type != "csv":
        yield f"format.options.header means nothing for {sent.type}; leave it out"
    if options.compression is not None and options.compression.lower() not in COMPRESSIONS:
        yield (
            f"format.options.compression {options.compression!r} cannot be read; write one of "
            f"{', '.join(COMPRESSIONS)}, or leave it out: names and the files' own bytes tell it as well"
        )
    if options.encoding is not None and (problem := problem_with(options.encoding)) is not None:
        yield (
            f"format.options.encoding {options.encoding!r} {problem}; write utf-8, utf-16, or one such as "
            "iso-8859-1 or windows-1252"
        )
    yield from _of_csv(options)


def _of_csv(options: FormatOptions) -> Iterator[str]:
    for name, value, may_be_empty in (
        ("delimiter", options.delimiter, False),
        ("quote", options.quote, True),
        ("escape", options.escape, False),
    ):
        if value is not None and not _is_one_sign(value) and not (may_be_empty and not value):
            yield (
                f"format.options.{name} {value!r} must be one ASCII character that ends no line"
                f"{', or empty: cells are never quoted' if may_be_empty else ''}"
            )
    delimiter = options.delimiter or DELIMITER
    if delimiter in (options.quote if options.quote is not None else QUOTE, options.escape):
        yield f"format.options.delimiter {delimiter!r} is the quote or the escape as well; write another character"


def _is_one_sign(value: str) -> bool:
    return len(value) == 1 and value.isascii() and value not in "\r\n\0"
