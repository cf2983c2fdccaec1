"""``python -m tests.faults [--negative | --large] [pytest's options]``: the catalogue, one line per case, the sum last.

Exit code 0 only if every case passed; with ``--negative`` only if every case of the control showed duplicates.
"""

import os
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from libs.common.storage.engine import TRANSACTION_S
from tests.faults.catalogue import APART, not_run
from tests.faults.mode import VARIABLE, Mode
from tests.faults.tally import Outcome, Promise, control_line, last_line, recovery_line
from tests.support.installation import LEASE_S, SWEEP_S

PROMISES = (
    Promise("kill -9", "lease + sweep + 5 s", LEASE_S + SWEEP_S + 5),
    # Its connections stay open, and its locks with them, until the server ends what takes too long.
    Promise("SIGSTOP", "transaction limit + sweep + 5 s", max(LEASE_S, TRANSACTION_S) + SWEEP_S + 5),
)


@dataclass
class Report:
    """A pytest plugin: prints a line for each case as it ends, and keeps its outcome."""

    outcomes: list[Outcome] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and not (report.when == "setup" and report.failed):
            return
        if any(name == "fault" for name, _ in report.user_properties):
            self.outcomes.append(Outcome.of(report.user_properties, passed=report.passed, seconds=report.duration))
            print("\n" + self.outcomes[-1].line(), end="", flush=True)

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """No dots between our lines."""
        return ("passed", "", "") if report.when == "call" and report.passed else None


def main(arguments: list[str]) -> int:
    negative = "--negative" in arguments
    large = "--large" in arguments
    options = [a for a in arguments if a not in ("--negative", "--large")]
    os.environ[VARIABLE] = Mode.NEGATIVE if negative else Mode.LARGE if large else Mode.ALL
    report = Report()
    # In the control a failed case is what we want to see: its trace would only frighten.
    quiet = ["--tb=no", "-r", "N"] if negative else []
    where = [] if any("tests/faults" in option for option in options) else ["tests/faults"]
    code = pytest.main(["-q", "--no-header", *quiet, *where, *options], plugins=[report])
    print()
    if negative:
        line, seen = control_line(report.outcomes)
        print(line, flush=True)
        return 0 if seen else 1
    if not options and not large:  # whoever selects knows what was left out
        print("\n".join([*not_run({outcome.number for outcome in report.outcomes}), APART]))
    for promise in PROMISES:
        print(recovery_line(report.outcomes, promise))
    print(last_line(report.outcomes), flush=True)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
