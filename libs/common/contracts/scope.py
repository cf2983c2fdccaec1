"""What of its source a run reads, when it does not read all that is new. Frozen with the run, like its definition.

Every part that is given narrows the scope further. Only the caps have a memory: they count what the run has taken.
"""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Lane = Literal["fresh", "backfill"]
"""Runs of one ingestion wait for each other within a lane only: a month of history must not hold up today's files.
Each lane has its own topics and its own consumers."""

LANES: tuple[Lane, ...] = get_args(Lane)
KEYS_MAX = 10_000


class Scope(BaseModel):
    """A part of the source. Without any part: everything that the definition wants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str | None = Field(default=None, description="Only keys that begin so.")
    key_regex: str | None = Field(default=None, description="Only keys in which this RE2 expression is found.")
    modified_from: AwareDatetime | None = Field(default=None, description="Only objects written then or later.")
    modified_until: AwareDatetime | None = Field(default=None, description="Only objects written before.")
    keys: tuple[str, ...] | None = Field(default=None, description="Only these keys; they are looked up, not listed.")
    max_files: int | None = Field(default=None, ge=1, description="Files that the run takes, at most.")
    max_bytes: int | None = Field(default=None, ge=1, description="Bytes that the run takes, at most.")
    again: bool = Field(default=False, description="What is loaded is loaded again, in the place of its rows.")
    failed: bool = Field(default=False, description="Only files that could not be loaded.")
    plan_id: UUID | None = Field(default=None, description="Only the file versions of this plan: all, or none.")
    hinted: bool = Field(
        default=False,
        description="Only what notifications told of, and files that an earlier run has found and not loaded; they are "
        "looked up, not listed.",
    )
    noticed_since: AwareDatetime | None = Field(
        default=None,
        description="Notifications should have told of what was written since then; the run says how much they missed.",
    )
    is_backfill: bool = Field(
        default=False,
        description="What the definition leaves out for its age is wanted too.",
    )

    @property
    def is_whole(self) -> bool:
        """Whether a listing of it that comes to its end has shown every object that the definition wants."""
        return self.model_copy(update={"is_backfill": False, "noticed_since": None}) == Scope()

    def covers(self, modified: datetime) -> bool:
        """Whether the scope wants an object that was written then."""
        return not (
            (self.modified_from is not None and modified < self.modified_from)
            or (self.modified_until is not None and modified >= self.modified_until)
        )


EVERYTHING = Scope()
HINTED = Scope(hinted=True)
ANY_AGE = Scope(is_backfill=True)
"""Everything that the definition wants by name."""
