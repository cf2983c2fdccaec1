"""Cuts a listing into stretches that are the same again next time, wherever its pages end. Pure.

A stretch is some hundreds of objects that a listing names one after the other, in the very bytes in which the store
tells of them: key, time, ETag, size. Where one ends is decided by what it holds (content-defined chunking, as backup
tools and rsync cut files), so a new object changes the stretch that it lies in and no other. Who remembers the
fingerprints of stretches in which there was nothing to do need not look at their objects again: not even parse them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from libs.common.ledger.model.files import FileVersion

STRETCH_BYTES_MAX = 256 * 1024
"""Some 900 objects. Ends a stretch where ETags do not: objects that all hold the same have one ETag."""

_CLOSE = b"</Contents>"
# One ETag in 256 begins with these two digits. ETags are hashes, or begin with one (of an upload in parts).
_LAST = re.compile(rb"<ETag>(?:&quot;|&#34;|\")?00")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive objects of a listing. ``fingerprint`` is the same if and only if the store tells the same of the same
    objects (SHA-256); None if that cannot be said. ``read`` gives the objects."""

    fingerprint: bytes | None
    read: Callable[[], Sequence[FileVersion]]


def fingerprint_of(told: bytes) -> bytes:
    """Of what a store tells of some objects."""
    return sha256(told).digest()


class Cutter:
    """Takes the objects of one page after the other, as XML, and gives stretches as they end. Holds one at most."""

    def __init__(self, bytes_max: int = STRETCH_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._begun = b""

    def add(self, objects: bytes) -> list[bytes]:
        """``objects``: whole ``<Contents>`` elements, and nothing between them."""
        waiting, start = self._begun + objects, 0
        stretches: list[bytes] = []
        while (end := self._end(waiting, start)) is not None:
            stretches.append(waiting[start:end])
            start = end
        self._begun = waiting[start:]
        return stretches

    def rest(self) -> list[bytes]:
        """The last stretch, if any object is left."""
        rest, self._begun = self._begun, b""
        return [rest] if rest else []

    def _end(self, waiting: bytes, start: int) -> int | None:
        """Where the stretch that begins at ``start`` ends; None if what waits does not show it."""
        last = _LAST.search(waiting, start, start + self._bytes_max)
        if last is not None:
            return _behind_object(waiting, last.end())
        return _behind_object(waiting, start + self._bytes_max) if len(waiting) - start > self._bytes_max else None


def _behind_object(waiting: bytes, at: int) -> int:
    """Where the object ends in which, or right behind which, ``at`` lies."""
    return waiting.index(_CLOSE, at - len(_CLOSE)) + len(_CLOSE)
