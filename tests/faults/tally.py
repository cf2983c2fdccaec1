"""What a case tells of itself: faults injected, the oracle's verdict, how long the recovery took.

A case writes into its pytest item's user properties, so that its numbers reach the report from any worker process.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.oracle import Verdict

Property = tuple[str, Any]
Blow = Literal["kill -9", "SIGSTOP"]


@dataclass(frozen=True, slots=True)
class Struck:
    """That a process was hit, by what, and when on the monotonic clock."""

    by: Blow
    at_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Promise:
    """Within what time others have finished the work of a process that was hit; ``words`` say how it is reckoned."""

    blow: Blow
    words: str
    bound_s: float


@dataclass(frozen=True, slots=True)
class Faults:
    """A test's hand on its own numbers; the fixture ``faults``."""

    properties: list[Property]

    def inject(self, count: int = 1) -> None:
        """So many faults have really struck."""
        self.properties.append(("injected", count))

    def judged(self, verdict: Verdict) -> None:
        """Keeps the verdict for the report, then insists that it is clean."""
        self.properties.extend([("lost", verdict.lost), ("duplicated", verdict.duplicated)])
        assert verdict.is_clean, verdict

    def recovered(self, since: Struck) -> None:
        """The work of the process that was hit is done."""
        self.properties.append(("recovery_s", (since.by, time.monotonic() - since.at_s)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case, as the report knows it."""

    number: str
    words: str
    passed: bool
    seconds: float
    injected: int = 0
    lost: int = 0
    duplicated: int = 0
    recoveries: tuple[tuple[Blow, float], ...] = ()

    @classmethod
    def of(cls, properties: Iterable[Property], *, passed: bool, seconds: float) -> "Outcome":
        """Adds up what a case has said. ``fault`` is its number and its words."""
        said = list(properties)
        number, words = next(value for name, value in said if name == "fault")

        def total(wanted: str) -> int:
            return sum(value for name, value in said if name == wanted)

        return cls(
            number,
            words,
            passed,
            seconds,
            total("injected"),
            total("lost"),
            total("duplicated"),
            tuple((by, seconds) for name, value in said if name == "recovery_s" for by, seconds in [value]),
        )

    def line(self) -> str:
        recovery = f", recovery {max(s for _, s in self.recoveries):.1f} s" if self.recoveries else ""
        return (
            f"{self.number:<4} {'ok  ' if self.passed else 'FAIL'} {self.words}: {self.injected} injected, "
            f"lost {self.lost}, duplicated {self.duplicated}, {self.seconds:.1f} s{recovery}"
        )


def last_line(outcomes: Iterable[Outcome]) -> str:
    """What the whole suite comes to."""
    cases = list(outcomes)
    return (
        f"faults: {len(cases)} cases, {sum(c.injected for c in cases)} faults, "
        f"lost {sum(c.lost for c in cases)}, duplicated {sum(c.duplicated for c in cases)}"
    )


def recovery_line(outcomes: Iterable[Outcome], promise: Promise) -> str:
    """p50, p99 and the longest recovery from one kind of blow, against what was promised."""
    times = sorted(seconds for case in outcomes for by, seconds in case.recoveries if by == promise.blow)
    if not times:
        return f"recovery from {promise.blow}: not measured"
    p50, p99 = (times[round(share * (len(times) - 1))] for share in (0.5, 0.99))
    kept = "kept" if p99 <= promise.bound_s else "NOT KEPT"
    return (
        f"recovery from {promise.blow}, {len(times)} times: p50 {p50:.1f} s, p99 {p99:.1f} s, max {times[-1]:.1f} s; "
        f"p99 within {promise.words} = {promise.bound_s:.1f} s: {kept}"
    )


def control_line(outcomes: Iterable[Outcome]) -> tuple[str, bool]:
    """Whether every case of the negative control showed duplicates, in words and as a value."""
    cases = list(outcomes)
    blind = sorted({c.number for c in cases if not c.duplicated})
    if blind or not cases:
        return f"negative control: no duplicates found in {', '.join(blind) or 'anything'}: the suite is blind", False
    numbers = ", ".join(sorted({c.number for c in cases}))
    return f"negative control: duplicates found in {numbers}: the suite sees what it must see", True
