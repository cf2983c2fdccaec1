"""Which of an ingestion's tables belong together.

A full refresh begins a new life: all files once more. A new-only refresh goes on with the life in another table: what
was loaded before is in the one that was set aside, and nowhere else. So the tables of one life *together* hold every
row once, however many refreshes came between, and wherever each of them was killed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ASIDE = re.compile(r"__g(\d+)_([0-9a-f]{32})$")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A refresh that has happened: the generation that it ended, and the moment before it was asked for."""

    from_generation: int
    is_full: bool
    asked: int


@dataclass(frozen=True, slots=True)
class Life:
    """Tables that hold the rows of all files once, together, the oldest first. ``began``: a moment of the book."""

    tables: tuple[str, ...]
    began: int


def generation_of(table: str) -> int:
    """The generation whose table was set aside under this name."""
    found = _ASIDE.search(table)
    assert found is not None, table
    return int(found[1])


def lives(table: str, aside: Iterable[str], refreshes: Iterable[Refreshed]) -> tuple[Life, ...]:
    """All lives, the present one last. ``aside`` are the names under which older tables are kept; a generation that
    was refreshed before it had a table has none."""
    by_generation = {generation_of(name): name for name in aside}
    found: list[Life] = []
    began, tables = 0, list[str]()
    for refresh in sorted(refreshes, key=lambda r: r.from_generation):
        if (name := by_generation.pop(refresh.from_generation, None)) is not None:
            tables.append(name)
        if refresh.is_full:
            found.append(Life(tuple(tables), began))
            began, tables = refresh.asked, []
    assert not by_generation, f"set aside by no refresh that is known: {by_generation}"
    return (*found, Life((*tables, table), began))
