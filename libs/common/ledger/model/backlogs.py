"""Values about batches that are planned and not finished: how many there are, and whose."""

from dataclasses import dataclass
from datetime import datetime

from libs.common.ids import BatchId, TenantId


@dataclass(frozen=True, slots=True)
class Backlog:
    """Unfinished batches, as one listing sees them. One in the lane of fresh files counts its own lane only; one of a
    backfill counts all: what is fresh goes first. ``tenants`` have some of them, the listing's own among them."""

    of_ingestion: int
    of_tenant: int
    in_all: int
    tenants: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A tenant with batches that nobody has begun: how many others of it are in work, and the one that waits longest,
    since when."""

    tenant_id: TenantId
    in_work: int
    batch_id: BatchId
    since: datetime
