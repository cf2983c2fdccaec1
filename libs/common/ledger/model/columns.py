"""Values about a table's columns: what they are, why they change, and what somebody decided of them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: its name, and its type as SQL writes it."""

    name: str
    type: str

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What asked for a change of a column: the first file that had it, and a value of it there, as JSON. ``column`` is
    its path as people write it."""

    column: str
    file: str
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A new column that somebody has to approve: its path as people write it, and a file that has such a field."""

    column: str
    type: str
    file: str | None = None
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Decisions:
    """What somebody decided of fields, by path as people write it: they may become columns, or no column takes them
    (also if the table has it by now)."""

    approved: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()
