"""Values about stretches of a listing in which a run had nothing to do."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """What a scan counts in a stretch of a listing: objects, those that are wanted by name, and those that are by their
    age, too. These are all settled (``KeyStanding.is_settled``)."""

    objects: int
    named: int
    of_age: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.objects + other.objects, self.named + other.named, self.of_age + other.of_age)


@dataclass(frozen=True, slots=True)
class Recognised:
    """Which stretches hold nothing but what is settled, by fingerprint. ``epoch`` is another one each time that
    something loaded ceases to be: what a scan finds settled from now on holds for as long as it stays the same."""

    epoch: int
    tallies: Mapping[bytes, Tally]
