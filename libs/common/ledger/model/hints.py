"""Values about hints: what a notification says of an ingestion's object, until a scan has looked."""

from dataclasses import dataclass
from datetime import datetime

from libs.common.ids import IngestionId
from libs.common.ledger.model.files import digest_of


@dataclass(frozen=True, slots=True)
class Hint:
    """Somebody says that an object has changed which an ingestion may want. ``size_bytes`` and ``event_time`` are what
    he says of it; only the store knows."""

    ingestion_id: IngestionId
    bucket: str
    key: str
    size_bytes: int | None = None
    event_time: datetime | None = None

    @property
    def digest(self) -> bytes:
        return digest_of(self.bucket, self.key)


@dataclass(frozen=True, slots=True)
class HintedKey:
    """A key to look at. Hints of one ingestion are numbered in the order in which they were committed; a key that is
    noticed again gets a new number."""

    seq: int
    key: str
