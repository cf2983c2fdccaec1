"""Values about a listing: the right to do it, and what a page of it brings."""

from dataclasses import dataclass
from datetime import datetime

from libs.common.ids import IngestionId, RunId
from libs.common.ledger.model.batches import PlannedBatch
from libs.common.ledger.model.files import FileVersion, Refusal


@dataclass(frozen=True, slots=True)
class Page:
    """What one page of a listing adds to the ledger, in one transaction.

    ``taken`` are file versions that are new to this run (recorded as discovered), ``superseded`` the digests whose
    discovered version was overwritten before anybody read it, ``beside`` those of taken files whose loaded versions
    stay; ``left`` overwrote loaded files, and are remembered as skipped; ``batches`` are full and hold files of this
    page or of earlier ones. ``files_skipped`` is the scan's count so far, not this page's. ``hints_through``: the scan
    has looked at all hints up to this number, and they are removed; but not ``hints_kept``, digests of keys that could
    not be taken yet: they count as noticed just now.
    """

    taken: tuple[FileVersion, ...] = ()
    superseded: tuple[bytes, ...] = ()
    beside: tuple[bytes, ...] = ()
    left: tuple[FileVersion, ...] = ()
    refused: tuple[Refusal, ...] = ()
    batches: tuple[PlannedBatch, ...] = ()
    files_skipped: int = 0
    hints_through: int = 0
    hints_kept: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanClaim:
    """The right to list for a run, until the lease ends or somebody holds a higher token. ``began_at`` is when it was
    given, on the database's clock: the listing shows what the store had then."""

    run_id: RunId
    ingestion_id: IngestionId
    generation: int
    token: int
    attempt: int
    began_at: datetime
