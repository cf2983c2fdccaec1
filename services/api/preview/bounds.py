"""What a preview may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of each file, ``size_bytes`` are transferred at most, and as many come out of a compressed one; ``lines`` of it
    are looked at."""

    seconds: float = 8.0
    files: int = 20
    size_bytes: int = 1024**2
    lines: int = 1000

    def __str__(self) -> str:
        return f"{self.size_bytes:,} bytes and {self.lines:,} lines of each, at most"
