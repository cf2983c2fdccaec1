"""Which faults there are, so that the report can say what did not run, and why."""

from tests.support.small_disk import why_no_small_disk

CATALOGUE = tuple(f"F{n:02}" for n in range(1, 57) if n not in (29, 53, 55))

WHY_NOT: dict[str, str] = {
    "F56": "thirty minutes of everything at once are a command of their own: make soak",
}
"""Reasons; a fault without one has no case yet. What F49 says of days on which clocks are changed, no real clock shows
on demand: tests/property/test_ticks.py has it."""


APART = "apart: F46, a file of 2 GB and 100,000 tiny ones – make faults LARGE=1"
"""Cases that take too long to be among the others."""


def not_run(numbers: set[str]) -> list[str]:
    """One line per fault that none of ``numbers`` covers."""
    reasons = WHY_NOT | ({"F50": why} if (why := why_no_small_disk()) else {})
    return [f"not run: {n} – {reasons.get(n, 'no case here yet')}" for n in CATALOGUE if n not in numbers]
