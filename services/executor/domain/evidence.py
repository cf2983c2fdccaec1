"""What a snapshot says of the files that it was made from, so that the table alone can tell what was loaded.

Each file version is known by the first 64 bits of sha256(bucket NUL key NUL version tag). A batch's numbers are
sorted and their gaps Rice-coded, in base64: about nine characters per file. See docs/adr for the odds of a mistake.
"""

import base64
import hashlib
from collections.abc import Iterable

from libs.common.ledger.model.files import FileVersion

FILES = "autoloader.files"
"""The snapshot property that holds the evidence."""

REPLACED = "autoloader.replaced"
"""Of a snapshot that replaced rows: the file versions whose rows it took out, in the same form."""
ROWS = "autoloader.rows"
ROWS_REMOVED = "autoloader.rows-removed"
"""And how many rows of its files it put in, and took out: Iceberg's own numbers also count rows that only moved."""

EVERYTHING = "*"
"""In the place of ``REPLACED``'s numbers: whatever was in the table, whose ever it was."""

_BITS = 64


def number_of(file: FileVersion) -> int:
    """The number by which evidence knows a file version."""
    return number_of_version(file.bucket, file.key, file.version_tag)


def number_of_version(bucket: str, key: str, version_tag: str) -> int:
    """As ``number_of``."""
    name = f"{bucket}\0{key}\0{version_tag}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[: _BITS // 8])


def written(files: Iterable[FileVersion]) -> str:
    """The property's text: the count, a colon, and the coded numbers."""
    numbers = sorted({number_of(f) for f in files})
    width = _width(len(numbers))
    bits = ["1"]  # keeps the zeros that follow
    before = 0
    for each in numbers:
        gap, before = each - before, each
        bits.append("1" * (gap >> width) + "0" + format(gap & ((1 << width) - 1), f"0{width}b"))
    coded = int("".join(bits), 2)
    return f"{len(numbers)}:{base64.b64encode(coded.to_bytes((coded.bit_length() + 7) // 8)).decode()}"


def read(text: str) -> tuple[int, ...]:
    """The numbers, sorted.

    Raises:
        ValueError: this is not what ``written`` wrote.
    """
    count_text, _, body = text.partition(":")
    count = int(count_text)
    width = _width(count)
    bits = bin(int.from_bytes(base64.b64decode(body, validate=True)))[3:]  # without 0b and the leading 1
    numbers: list[int] = []
    at = before = 0
    for _ in range(count):
        end = bits.index("0", at)
        before += (end - at) << width | int(bits[end + 1 : end + 1 + width], 2)
        numbers.append(before)
        at = end + 1 + width
    if at != len(bits):
        raise ValueError("evidence is longer than its count says")
    return tuple(numbers)


def _width(count: int) -> int:
    """Bits of a gap that are written as they are; the rest, on average one or two, in unary."""
    return _BITS - max(count, 1).bit_length()
