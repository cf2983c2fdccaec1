"""What a turn tells, and what is made of it. Pure.

A batch's times are the ledger's: when it was planned, when it was claimed by the executor that published it, and when
that was written down. All are in seconds, from the moment at which the turn's first batch was planned.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Self

from pydantic import BaseModel, ConfigDict

from bench.measures import Spread

_SLOTS = re.compile(r"(?:([1-9]\d*)x)?([1-9]\d*)")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Slots:
    """So many executors, with so many slots each."""

    executors: int
    of_each: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``8``: one executor with eight; ``2x4``: two with four each.

        Raises:
            ValueError: it is neither.
        """
        if (found := _SLOTS.fullmatch(text)) is None:
            raise ValueError(f"{text!r} is no number of slots: say 8, or 2x4 for two executors with four each")
        return cls(int(found[1] or 1), int(found[2]))

    def __str__(self) -> str:
        return str(self.of_each) if self.executors == 1 else f"{self.executors}x{self.of_each}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: slots, and how many tables the ingestions write to."""

    tables: int
    slots: Slots

    @property
    def key(self) -> str:
        return f"{self.tables} {'table' if self.tables == 1 else 'tables'}, {self.slots}"


class Batch(_Frozen):
    """One published batch. ``ingestion`` numbers them; ``claims`` is 1 unless its executor gave it back or vanished."""

    ingestion: int
    planned_s: float
    begun_s: float
    published_s: float
    claims: int = 1

    @property
    def waited_s(self) -> float:
        """From planned to published."""
        return self.published_s - self.planned_s

    @property
    def worked_s(self) -> float:
        """From claimed to published."""
        return self.published_s - self.begun_s


class Collisions(_Frozen):
    """Commits to a table that found another commit there first. Publishes, stages and others were repeated inside
    Iceberg; ``refused`` are publishes that it gave up, as the executors count them. ``attempts_repeated``: how often an
    executor began a batch again from its beginning."""

    publishes: int
    refused: int
    repeated_publishes: int
    repeated_stages: int
    repeated_others: int
    attempts_repeated: int

    @classmethod
    def sum(cls, some: Iterable["Collisions"]) -> "Collisions":
        dumped = [each.model_dump() for each in some]
        return cls(**{name: sum(each[name] for each in dumped) for name in cls.model_fields})

    def per_thousand(self, count: int) -> float:
        """So many of 1,000 publishes."""
        return 1000 * count / self.publishes

    @property
    def of_publishes(self) -> float:
        """Conflicts of 1,000 publishes, whoever saw them."""
        return self.per_thousand(self.refused + self.repeated_publishes)

    @property
    def of_stages(self) -> float:
        """As above, of the commits that staged what was published."""
        return self.per_thousand(self.repeated_stages)


class OfIngestion(_Frozen):
    """How one ingestion fared: when its first batch was published and its last one, and its batches' waits."""

    first_s: float
    last_s: float
    waited: Spread


class Turn(_Frozen):
    """One load of everything in one setting."""

    batches: int
    files: int
    seconds: float
    """From the first plan to the last publish."""
    at_once_max: int
    waited: Spread
    worked: Spread
    ingestions: tuple[OfIngestion, ...]
    collisions: Collisions

    @classmethod
    def of(cls, batches: Sequence[Batch], files: int, collisions: Collisions) -> Self:
        by_ingestion = groupby(sorted(batches, key=attrgetter("ingestion")), key=attrgetter("ingestion"))
        return cls(
            batches=len(batches),
            files=files,
            seconds=max(b.published_s for b in batches) - min(b.planned_s for b in batches),
            at_once_max=at_once_max(batches),
            waited=Spread.of([b.waited_s for b in batches]),
            worked=Spread.of([b.worked_s for b in batches]),
            ingestions=tuple(_of_ingestion(list(its)) for _, its in by_ingestion),
            collisions=collisions,
        )

    @property
    def batches_per_s(self) -> float:
        return self.batches / self.seconds

    @property
    def files_per_s(self) -> float:
        return self.files / self.seconds

    @property
    def slowest_to_fastest(self) -> float:
        """How much longer the last ingestion took to be complete than the first one."""
        done = [each.last_s for each in self.ingestions]
        return max(done) / min(done)


def _of_ingestion(batches: Sequence[Batch]) -> OfIngestion:
    began_s = min(b.planned_s for b in batches)
    published_s = [b.published_s - began_s for b in batches]
    return OfIngestion(
        first_s=min(published_s), last_s=max(published_s), waited=Spread.of([b.waited_s for b in batches])
    )


def at_once_max(batches: Iterable[Batch]) -> int:
    """How many batches were in work at the same time, at most. One that ends when another begins is not."""
    steps = sorted(step for b in batches for step in ((b.begun_s, 1), (b.published_s, -1)))
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def times_the_base(turns: Mapping[int, Turn], base: Mapping[int, Turn]) -> Spread:
    """Throughput, in times that of the base in the same round."""
    return Spread.of([turn.batches_per_s / base[number].batches_per_s for number, turn in turns.items()])
