"""How many bad records a file may have and still be loaded without them: what a definition's ``on_error`` says.

Judged per file, never per batch or run, so that it does not depend on which files happened to be read together.
"""

from dataclasses import dataclass
from typing import Self

from libs.common.contracts.definition import OnError, Quality
from libs.common.contracts.events import Problem
from libs.common.ledger.model.files import FileVersion

_CORRECT = "correct the file and upload it again under the same key: the next run loads it"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """``count_max`` and ``share_max`` are per file, and mean something with *continue* alone."""

    on_error: OnError = "continue"
    count_max: int | None = None
    share_max: float | None = None

    @classmethod
    def of(cls, quality: Quality) -> Self:
        return cls(quality.on_error, quality.bad_records_max, quality.bad_records_share_max)

    def objection(self, file: FileVersion, good: int, bad: int) -> Problem | None:
        """Why nothing of the file may be loaded; None if its bad records, if it has any, may be set aside."""
        if not bad:
            return None
        total = good + bad
        found = f"{file.uri} has {bad:,} of {total:,} records that do not fit the table"
        if self.on_error != "continue":
            return Problem(error_type="unparsable_file", message=found, hint=_CORRECT, file=file.uri)
        if self.count_max is not None and bad > self.count_max:
            limit = f"quality.bad_records_max allows {self.count_max:,}"
        elif self.share_max is not None and bad > self.share_max * total:
            limit = f"quality.bad_records_share_max allows a share of {self.share_max:g}"
        else:
            return None
        return Problem(error_type="too_many_bad_records", message=f"{found}, and {limit}", hint=_CORRECT, file=file.uri)


SETS_ASIDE = Tolerance()
"""The default: any number of bad records."""
