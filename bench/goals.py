"""What we promise ourselves about speed, and whether a run of the benchmark shows it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.catalogue import FLOOR, OURS
from bench.known import LISTINGS, OURS_NEW, OURS_NOTHING
from bench.measures import Spread, Variant
from bench.results import Measured

SPARK_PEERS = ("spark-defaults", "spark-inferred", "stream")
"""Others who write through Spark, as people use them."""


def floor_of(measured: Measured) -> Variant | None:
    """With whom the others are compared: Spark on the folder, or the quickest bare listing."""
    return measured.variants.get(FLOOR) or quickest(measured, LISTINGS)


def quickest(measured: Measured, keys: Mapping[str, str] | tuple[str, ...]) -> Variant | None:
    """Of those that came to an end: who has the smallest median."""
    times = [(each.spread.median, key) for key in keys if (each := measured.variants.get(key)) and each.spread]
    return measured.variants[min(times)[1]] if times else None


@dataclass(frozen=True, slots=True)
class Goal:
    """``of`` takes at most ``times_max`` times as long as the quickest of ``against`` (or ``seconds_max`` seconds)."""

    workload: str
    words: str
    of: str
    against: tuple[str, ...] = ()
    times_max: float | None = None
    seconds_max: float | None = None
    snapshots_max: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``found`` is None when it was not measured: then nothing is reached."""

    goal: Goal
    found: Spread | None
    is_reached: bool


_LISTED = tuple(LISTINGS)
GOALS = (
    Goal("w1", "at most 1.3 times the floor", OURS, (FLOOR,), 1.3),
    Goal("w1", "at most half of Structured Streaming's time", OURS, ("stream",), 1 / 2),
    Goal("w1", "at most a third of dlt's time", OURS, ("dlt",), 1 / 3),
    Goal("w2", "at most 1.05 times the floor", OURS, (FLOOR,), 1.05),
    Goal("w2", "at most the time of the quickest peer that uses Spark", OURS, SPARK_PEERS, 1.0),
    Goal("w3", "at most 2.0 s", OURS, seconds_max=2.0),
    Goal("tiny", "at most 1.5 times the floor", OURS, (FLOOR,), 1.5),
    Goal("tiny", "at most 10 snapshots", OURS, snapshots_max=10),
    Goal("w4", "10 new: at most 1.5 times the quickest listing", OURS_NEW, _LISTED, 1.5),
    Goal("w4", "nothing new: at most 1.5 times the quickest listing", OURS_NOTHING, _LISTED, 1.5),
    Goal("w4-pause", "10 new, after a pause: at most 1.5 times the quickest listing", OURS_NEW, _LISTED, 1.5),
    Goal("w4-pause", "nothing new, after a pause: at most 1.5 times the quickest listing", OURS_NOTHING, _LISTED, 1.5),
)


def verdicts(workloads: Mapping[str, Measured]) -> list[Verdict]:
    """One for each goal, in their order."""
    return [_verdict(goal, workloads.get(goal.workload)) for goal in GOALS]


def _verdict(goal: Goal, measured: Measured | None) -> Verdict:
    ours = None if measured is None else measured.variants.get(goal.of)
    if measured is None or ours is None or ours.spread is None:
        return Verdict(goal, None, is_reached=False)
    if goal.seconds_max is not None:
        return Verdict(goal, ours.spread, ours.spread.median <= goal.seconds_max)
    if goal.snapshots_max is not None:
        snapshots = Spread.of([took.snapshots or 0 for took in ours.rounds.values()])
        return Verdict(goal, snapshots, snapshots.max <= goal.snapshots_max)
    other = quickest(measured, goal.against)
    found = None if other is None else ours.times(other)
    return Verdict(goal, found, found is not None and found.median <= (goal.times_max or 0))
