"""What a scan has seen, and what of that its user wants to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.contracts.definition import Source
from libs.common.contracts.scope import Scope
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.settled import Tally

ON_ITS_WAY = timedelta(minutes=1)
"""A notification that comes later than this after its object's time counts as missed."""


@dataclass(slots=True)
class Seen:
    """What the listing has shown so far. ``unnoticed`` are new files of which notifications should have told;
    ``left_out`` are settled partitions that it has not shown. Their objects are counted as they were."""

    objects: int = 0
    named: int = 0
    of_age: int = 0
    skipped: int = 0
    passed_over: int = 0
    unnoticed: int = 0
    left_out: int = 0

    def add(self, tally: Tally) -> None:
        """Of one more part of the listing."""
        self.objects += tally.objects
        self.named += tally.named
        self.of_age += tally.of_age

    def skip(self, tally: Tally) -> None:
        """One more part of the listing, in which all that is wanted is settled."""
        self.add(tally)
        self.skipped += tally.of_age


def overdue(files: Sequence[FileVersion], since: datetime, now: datetime) -> list[FileVersion]:
    """Those that were written since then, and long enough ago for their notification to have come."""
    return [f for f in files if since <= f.last_modified < now - ON_ITS_WAY]


def warnings(source: Source, scope: Scope, seen: Seen) -> tuple[str, ...]:
    """What a user who sees fewer files than expected wants to know."""
    if scope.keys is not None and scope.plan_id is None:
        missing = len(scope.keys) - seen.named
        return (f"{missing:,} of the {len(scope.keys):,} keys are not there, or are not the source's",) * bool(missing)
    if scope.hinted:
        return ()  # to find nothing is as usual: objects come and go, and notifications come twice
    if seen.unnoticed:
        return (
            f"notifications missed {seen.unnoticed:,} of the files under {source.path}; check what the bucket is "
            "configured to send",
        )
    if seen.objects == 0 and scope.prefix is not None:
        return (f"there is no object of the source whose key begins with {scope.prefix!r}",)
    if seen.objects == 0:
        return (f"there is no object under {source.path}; check source.path if you expected some",)
    if seen.named == 0 and scope.key_regex is not None:
        return (f"none of {seen.objects:,} objects matches {source.file_pattern!r} and {scope.key_regex!r}",)
    if seen.named == 0:
        return (
            f"none of the {seen.objects:,} objects under {source.path} matches {source.file_pattern!r}; "
            "check source.file_pattern",
        )
    if seen.of_age == 0:
        return (f"all of the {seen.named:,} matching objects are left out for the time at which they were written",)
    return ()
