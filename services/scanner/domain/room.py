"""How far a listing may run ahead of the executors."""

from dataclasses import dataclass

from libs.common.ledger.model.backlogs import Backlog


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Unfinished batches, at most: of one ingestion, and of all together. Those of the page at hand come on top."""

    of_ingestion_max: int
    in_all_max: int


def has_room(backlog: Backlog, limits: RoomLimits) -> bool:
    """Whether more batches may be planned. When there are enough in all, still for a tenant that has less than its
    share of them, and always for one that has none: nobody waits because of another one's files alone."""
    if backlog.of_ingestion >= limits.of_ingestion_max:
        return False
    share = max(1, limits.in_all_max // backlog.tenants)
    return backlog.in_all < limits.in_all_max or backlog.of_tenant < share
