"""Whose batch is next. Tenants take turns, so that one with a million files does not hold up another's ten."""

from collections.abc import Iterable

from libs.common.ids import BatchId
from libs.common.ledger.model.backlogs import Waiting


def whose_turn(waiting: Iterable[Waiting]) -> BatchId | None:
    """The oldest batch of the tenant that has the fewest in work; among equals, of the one that has waited longest.
    None when no batch waits."""
    tenants = sorted(waiting, key=lambda w: (w.in_work, w.since, w.tenant_id))
    return tenants[0].batch_id if tenants else None
