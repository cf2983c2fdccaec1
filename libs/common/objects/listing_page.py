"""Reads a page of a listing, a thousand keys at a time, out of the XML that stores send. Pure.

botocore's parser takes about 65 µs for a key, and so decided how long a listing took. This one takes about 2 µs. It
reads what stores really write, and nothing else: whatever looks different is left to botocore, as a whole.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote_plus

_OPEN, _CLOSE = "<Contents>", "</Contents>"
_URL_ENCODED = "<EncodingType>url</EncodingType>"
_QUOTE = '(?:&quot;|&#34;|")?'
_OTHER = r"<(?!(?:Key|LastModified|ETag|Size)>)[A-Za-z0-9]+>[^<]*</[A-Za-z0-9]+>"
_OTHERS = f"(?:{_OTHER}|<Owner>(?:{_OTHER})*</Owner>)*"
_ENTRY = re.compile(
    f"{_OPEN}{_OTHERS}"
    f"<Key>([^<&]+)</Key>{_OTHERS}"
    rf"<LastModified>([0-9-]{{10}}T[0-9:]{{8}}(?:\.[0-9]+)?Z)</LastModified>{_OTHERS}"
    f"<ETag>{_QUOTE}([0-9A-Za-z-]+){_QUOTE}</ETag>{_OTHERS}"
    f"<Size>([0-9]+)</Size>{_OTHERS}{_CLOSE}"
)


class Entries(NamedTuple):
    """The objects of a page, as a listing names them: what each of them has stands at the same place."""

    keys: Sequence[str]
    etags: Sequence[str]
    sizes_bytes: Sequence[int]
    last_modified: Sequence[datetime]


def without_entries(body: bytes) -> tuple[bytes, Entries] | None:
    """The page without its objects, and these; None if it is not written as expected, whatever it is then."""
    try:
        text = body.decode()
        start, end = text.index(_OPEN), text.rindex(_CLOSE) + len(_CLOSE)
        objects, rest = text[start:end], text[:start] + text[end:]
        if _URL_ENCODED not in rest or "<Contents" in rest or "<!" in text:
            return None  # raw keys; another form; or what may hide anything: a comment, a CDATA section
        found = _ENTRY.findall(objects)
        # Each of them was read, and nothing stands between them.
        if len(found) != objects.count(_OPEN) or len(found) - 1 != objects.count(_CLOSE + _OPEN):
            return None
        return rest.encode(), _entries(found)
    except ValueError:  # no object at all, no UTF-8, or no such date
        return None


def _entries(found: Sequence[tuple[str, str, str, str]]) -> Entries:
    keys, times, etags, sizes = zip(*found, strict=True)
    return Entries(_decoded(keys), etags, [*map(int, sizes)], [*map(datetime.fromisoformat, times)])


def _decoded(keys: Iterable[str]) -> list[str]:
    """Neighbours share a folder, often with many characters in codes (k=v is k%3Dv). A slash ends every code."""
    folder, folder_decoded = "", ""
    decoded: list[str] = []
    for key in keys:
        head, slash, name = key.rpartition("/")
        if head != folder:
            folder, folder_decoded = head, unquote_plus(head)
        if "%" in name or "+" in name:
            name = unquote_plus(name)
        decoded.append(f"{folder_decoded}{slash}{name}" if slash else name)
    return decoded
