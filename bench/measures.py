"""Figures and what is made of them: in which order variants take turns, and how their times compare. Pure.

Variants are compared round by round, since a machine has good minutes and bad ones: a ratio is that of two times of
the same round, and the middle one of these ratios stands for all.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Took(_Frozen):
    """One load by one variant. ``peak_rss_bytes`` is told of those that run in a process of their own."""

    seconds: float
    rows: int
    snapshots: int | None = None
    data_files: int | None = None
    peak_rss_bytes: int | None = None


class NotDone(_Frozen):
    """A variant was given up, and is not tried again in this run."""

    reason: str


class Spread(_Frozen):
    """Of several rounds."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(min=min(values), median=statistics.median(values), max=max(values))


class Variant(_Frozen):
    """What one variant did in the rounds of one workload. ``rounds`` is empty if it was not done once."""

    title: str
    rounds: Mapping[int, Took] = {}
    not_done: NotDone | None = None
    files_of: int | None = None
    """Of how many files this is, if not of all: its times are scaled up in ``seconds``."""
    files: int

    @property
    def seconds(self) -> Mapping[int, float]:
        """By round, for all files."""
        scale = 1.0 if self.files_of is None else self.files / self.files_of
        return {number: took.seconds * scale for number, took in self.rounds.items()}

    @property
    def spread(self) -> Spread | None:
        return Spread.of(list(self.seconds.values())) if self.rounds else None

    def times(self, other: "Variant") -> Spread | None:
        """How often the other's time goes into ours, in the rounds that both did. None: there is no such round."""
        both = sorted(self.rounds.keys() & other.rounds.keys())
        ratios = [self.seconds[number] / other.seconds[number] for number in both]
        return Spread.of(ratios) if ratios else None


def turns(variants: Sequence[str], round_number: int) -> list[str]:
    """The order of one round. Each round begins with another variant, and every second one goes backwards: no variant
    always runs after the same one."""
    if not variants:
        return []
    first = round_number * max(1, len(variants) // 3) % len(variants)
    order = [*variants[first:], *variants[:first]]
    return order[::-1] if round_number % 2 else order
