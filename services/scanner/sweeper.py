"""Which listings a scanner takes up by itself: those that another one left behind, and those that nobody began."""

from datetime import timedelta

from libs.common.ids import IngestionId, RunId
from libs.common.ledger.scans import ScanLedger
from libs.common.sweeper import Sweeper
from services.scanner.handlers import Scans


def scan_sweeper(
    ledger: ScanLedger, scans: Scans, *, interval: timedelta, at_once: int
) -> Sweeper[tuple[RunId, IngestionId, int]]:
    """A request that was sent to a scanner that died waits in Kafka until its group has missed it: the sweep is there
    first."""
    return Sweeper(
        lambda limit: ledger.claimable(requested_before=interval, limit=limit),
        lambda run: scans.scan(*run),
        kind="scan",
        interval=interval,
        at_once=at_once,
        aside=scans.aside,
    )
