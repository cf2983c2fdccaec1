"""Text of any encoding, as SQL.

Spark decodes text by itself in few encodings, and puts a replacement character for each byte that it cannot. So bytes
are taken as ISO-8859-1, in which every byte is a character (*Latin*), and what they mean is said here: nothing is lost,
and what is no text of the encoding is seen.
"""

from dataclasses import dataclass
from functools import cache

from libs.common.encodings import UTF_8, is_wide, spelled
from libs.common.schema import literal

_REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Encoding:
    """``name`` is Python's. SQL in, SQL out."""

    name: str

    @classmethod
    def of(cls, name: str | None) -> "Encoding":
        """Raises ``LookupError`` for a name that nobody knows."""
        return cls(spelled(name))

    @property
    def is_wide(self) -> bool:
        return is_wide(self.name)

    def of_bytes(self, binary: str) -> str:
        """Bytes, to text in which lines can be found: the text itself where it is wide, else Latin."""
        return f"decode({binary}, {literal(self.name.upper() if self.is_wide else 'ISO-8859-1')})"

    def text(self, latin: str) -> str:
        """A line of what ``of_bytes`` gives, to the text that it means."""
        if self.is_wide or self.name == "iso8859-1":
            return latin
        if self.name == UTF_8:
            return f"CAST(encode({latin}, 'ISO-8859-1') AS string)"
        table = _upper_half(self.name)
        return f"translate({latin}, {literal(''.join(table))}, {literal(''.join(table.values()))})"

    def is_whole(self, text: str) -> str:
        """Whether every byte of such a text had a meaning."""
        if self.name == UTF_8:
            return f"is_valid_utf8({text})"
        return f"NOT contains({text}, {literal(_REPLACEMENT)})"


@cache
def _upper_half(name: str) -> dict[str, str]:
    """What the bytes from 80 to FF mean where that is not what they are in Latin."""
    found = {chr(byte): bytes([byte]).decode(name, "replace") for byte in range(0x80, 0x100)}
    return {latin: meant for latin, meant in found.items() if latin != meant}
