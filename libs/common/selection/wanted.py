"""Which objects of a source a run wants: by place, by name, and by the time at which they were written. Pure.

What the ledger knows of them is another question (``select.py``). Scanner, estimates,
plans and explanations all ask here, so that none of them promises what another one would not do.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import re2

from libs.common.contracts.definition import Source
from libs.common.contracts.scope import EVERYTHING, Scope
from libs.common.ledger.model.files import FileVersion
from libs.common.selection.pattern import Pattern

REGEX_LENGTH_MAX = 1024
_BACKFILL = "ask for a backfill, which reads what the definition leaves out for its age: POST …/backfill"


class KeyRegex:
    """A regular expression of a user's. RE2 (google-re2) takes time linear in the key, whatever the expression is:
    it runs in a process that serves everybody."""

    def __init__(self, expression: str) -> None:
        """Raises ``ValueError`` with a clear text when the expression cannot be read."""
        if len(expression) > REGEX_LENGTH_MAX:
            raise ValueError(f"an expression has at most {REGEX_LENGTH_MAX:,} characters")
        options = re2.Options()
        options.log_errors = False
        try:
            self._found_in = re2.compile(expression, options).search
        except (re2.error, re.error) as e:
            [why, *_] = e.args
            words = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
            raise ValueError(f"{expression!r} is no regular expression as RE2 reads them: {words}") from e

    def is_found_in(self, key: str) -> bool:
        return self._found_in(key) is not None


@dataclass(frozen=True, slots=True)
class Left:
    """Why an object is left out: the words for its user, and what to do if it should be loaded."""

    why: str
    remedy: str


class Wanted:
    """The rules of one source and one scope. ``created_at`` is when the ingestion was made: what was written before
    is what exists already."""

    def __init__(self, source: Source, created_at: datetime, scope: Scope = EVERYTHING) -> None:
        """Raises ``ValueError`` when ``file_pattern`` or ``key_regex`` cannot be read."""
        self._source = source
        self._scope = scope
        self._created_at = created_at
        self._pattern = Pattern(source.file_pattern)
        self._regex = KeyRegex(scope.key_regex) if scope.key_regex is not None else None
        self._below = source.prefix  # asked for each of a million keys
        narrower = source.prefix if scope.prefix is None else scope.prefix
        self.prefix = narrower if narrower.startswith(source.prefix) else source.prefix
        """Where a listing has to look: the narrower of the source's prefix and the scope's."""
        self.is_out_of_reach = scope.prefix is not None and not (
            scope.prefix.startswith(source.prefix) or source.prefix.startswith(scope.prefix)
        )
        """Whether the scope's prefix lies outside of the source's: nothing can be wanted then."""
        bounds = (scope.modified_from, scope.modified_until, source.modified_after, source.modified_before)
        self._takes_any_age = source.include_existing_files and not any(bounds)

    def of(self, files: Iterable[FileVersion]) -> list[FileVersion]:
        """Those that are wanted. A folder's marker never is."""
        return list(self.of_age([f for f in files if not f.is_folder_marker and self.is_named(f.key)]))

    def is_named(self, key: str) -> bool:
        """Whether a key is wanted by its place and name."""
        return (
            key.startswith(self.prefix)
            and not self.is_out_of_reach
            and self._pattern.matches(key, self._below)
            and (self._regex is None or self._regex.is_found_in(key))
        )

    def of_age(self, files: Sequence[FileVersion]) -> Sequence[FileVersion]:
        """Those that are wanted for the time at which they were written."""
        if self._takes_any_age:
            return files
        return [f for f in files if self.too_old_or_new(f) is None]

    def too_old_or_new(self, f: FileVersion) -> Left | None:
        """Why the time at which an object was written leaves it out, if it does."""
        if not self._scope.covers(f.last_modified):
            return Left(f"{_written(f.last_modified)}, outside of the range asked for", "ask for a wider range")
        if self._scope.is_backfill:
            return None
        return left_for_its_age(self._source, self._created_at, f.last_modified)


def left_for_its_age(source: Source, created_at: datetime, written_at: datetime) -> Left | None:
    """Why the definition leaves out an object that was written at ``written_at``, if it does."""
    rule = None
    # Most stores tell times in whole seconds: what lands right after the ingestion was made must not look older.
    if not source.include_existing_files and written_at < created_at.replace(microsecond=0):
        rule = "before the ingestion was made, and source.include_existing_files is false"
    elif source.modified_after is not None and written_at <= source.modified_after:
        rule = "which source.modified_after leaves out"
    elif source.modified_before is not None and written_at >= source.modified_before:
        rule = "which source.modified_before leaves out"
    return None if rule is None else Left(f"{_written(written_at)}, {rule}", _BACKFILL)


def _written(at: datetime) -> str:
    return f"it was written at {at:%Y-%m-%d %H:%M:%S} UTC"
