"""Which faults there are, so that the report can say what did not run, and why."""

CATALOGUE = tuple(f"F{n:02}" for n in range(1, 57) if n not in (29, 53, 55))

WHY_NOT: dict[str, str] = {
    "F42": "the product takes no bucket notifications yet",
    "F49": "the product has no schedules yet, and leases are on the database's clock",
    "F50": "a full disk needs a small file system of its own, which nothing here sets up yet",
    "F51": "the product has no schedules yet; doubled POSTs are in tests/integration/api",
    "F56": "thirty minutes of everything at once have no command yet",
}
"""Reasons; a fault without one has no case yet."""


def not_run(numbers: set[str]) -> list[str]:
    """One line per fault that none of ``numbers`` covers."""
    return [f"not run: {n} – {WHY_NOT.get(n, 'no case here yet')}" for n in CATALOGUE if n not in numbers]
