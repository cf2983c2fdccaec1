"""Files as a listing shows them, and what the ledger may know of them."""

from datetime import UTC, datetime
from uuid import UUID

from libs.common.ids import RunId
from libs.common.ledger.model.files import FileVersion, KnownVersion
from libs.common.ledger.states import FileState

THIS_RUN = RunId(UUID(int=1))
EARLIER_RUN = RunId(UUID(int=2))
ANOTHER_RUN = RunId(UUID(int=3))


def listed(key: str = "in/a.json", etag: str = "v1", size_bytes: int = 10) -> FileVersion:
    return FileVersion("landing", key, etag, size_bytes, datetime(2025, 1, 7, tzinfo=UTC))


def known(
    state: FileState, etag: str = "v1", run: RunId = EARLIER_RUN, *, given_up: bool = False, held: bool = False
) -> KnownVersion:
    return KnownVersion(f"{etag}:10", state, run, given_up, held)
