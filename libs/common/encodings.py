"""Which encodings text may have. Pure. Names are Python's, in any of their spellings."""

import codecs
from typing import Final

UTF_8: Final = "utf-8"
_WIDE: Final = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"})


def spelled(name: str | None) -> str:
    """The encoding's one spelling; None means UTF-8. Raises ``LookupError`` for what nobody knows."""
    return codecs.lookup(UTF_8 if name is None else name).name


def is_wide(name: str | None) -> bool:
    """Whether the byte of a line's end may be a part of another character."""
    return spelled(name) in _WIDE


def problem_with(name: str) -> str | None:
    """Why text of this encoding cannot be read, to follow its name; None if it can."""
    try:
        if spelled(name) == UTF_8 or is_wide(name):
            return None
        ascii_half = bytes(range(0x80)).decode(name)
        upper_half = [bytes([byte]).decode(name, "replace") for byte in range(0x80, 0x100)]
    except (LookupError, UnicodeError, ValueError):
        return "is no encoding of text that is known here"
    if ascii_half != bytes(range(0x80)).decode("ascii") or any(len(c) != 1 or ord(c) > 0xFFFF for c in upper_half):
        return "is neither a UTF nor one byte per character with ASCII as its lower half"
    if upper_half.count("\ufffd") > 0x40:
        return "is neither a UTF nor one byte per character with ASCII as its lower half"
    return None
