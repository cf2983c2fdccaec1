"""Whether memory grows while a process lives: a straight line through what it held, once it was warm.

A slope makes sense within one life only: a process that is killed and started again begins small. Young processes grow
by nature (modules, pools, caches, the allocator's own reserves), so the first minutes do not count; and what little a
process wanders up and down looks like any slope if one watches it too briefly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import linear_regression

WARM_AFTER_S = 300.0
WATCHED_FOR_S = 600.0
"""From the first sample to the last, once it is warm: below that a life has no slope."""
GROWS_ABOVE_MB_H = 15.0
"""More is no noise: over 25 minutes, a step of 4 MB in their middle comes to that."""


@dataclass(frozen=True, slots=True)
class Sample:
    """``age_s`` is counted from the moment at which the process was ready."""

    age_s: float
    held_mb: float


@dataclass
class Life:
    """One process, from its start to its end, as far as it was seen."""

    name: str
    kind: str
    samples: list[Sample] = field(default_factory=list)

    @property
    def lasted_s(self) -> float:
        return self.samples[-1].age_s if self.samples else 0.0

    @property
    def slope_mb_h(self) -> float | None:
        """MB per hour; None if it did not live for long enough."""
        return slope_mb_h([sample for sample in self.samples if sample.age_s >= WARM_AFTER_S])

    @property
    def grows(self) -> bool:
        return (self.slope_mb_h or 0.0) > GROWS_ABOVE_MB_H


def slope_mb_h(samples: Sequence[Sample]) -> float | None:
    """By least squares; None for samples of less than ``WATCHED_FOR_S``."""
    if not samples or samples[-1].age_s - samples[0].age_s < WATCHED_FOR_S:
        return None
    return linear_regression([s.age_s / 3600 for s in samples], [s.held_mb for s in samples]).slope


def lines(lives: Sequence[Life]) -> list[str]:
    """One for each life that has a slope; one for each kind of service that has none, with the reason."""
    said = []
    for kind in sorted({life.kind for life in lives}):
        of_it = [life for life in lives if life.kind == kind]
        long = sorted((life for life in of_it if life.slope_mb_h is not None), key=lambda life: life.name)
        said += [_line(life) for life in long]
        if not long:
            seen_min = max(life.lasted_s for life in of_it) / 60
            takes_min = (WARM_AFTER_S + WATCHED_FOR_S) / 60
            said.append(
                f"memory: {kind}: no slope: the oldest of {len(of_it)} processes was seen for {seen_min:.0f} min, "
                f"and a slope takes {takes_min:.0f} at least"
            )
    return said


def _line(life: Life) -> str:
    held = [sample.held_mb for sample in life.samples]
    word = "grows" if life.grows else "flat"
    return (
        f"memory: {life.name}: {held[0]:.0f} MB at first, {max(held):.0f} at most, {held[-1]:.0f} after "
        f"{life.lasted_s / 60:.0f} min, slope {life.slope_mb_h:+.1f} MB/h: {word} (bound {GROWS_ABOVE_MB_H:g})"
    )
