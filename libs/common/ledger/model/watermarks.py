"""Values about watermarks: what the ledger knows of a source as a whole, and what holds it back."""

from dataclasses import dataclass
from datetime import datetime

from libs.common.ids import RunId
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState


@dataclass(frozen=True, slots=True)
class Listed:
    """``listed_from`` is when the latest listing of the whole source began that came to its end, ``up_to`` the
    watermark that was stated last, if any."""

    listed_from: datetime
    up_to: datetime | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file version that is wanted, and neither loaded nor set aside."""

    file: FileVersion
    state: FileState
    run_id: RunId
    error_type: str | None = None
    error: str | None = None
