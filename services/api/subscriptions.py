"""What happens when a message arrives: topic, message, handler. Nothing is registered anywhere else."""

from libs.common.backbone import Subscriptions
from libs.common.contracts.events import RUN_FACTS, TableRefreshed, TableRefreshFailed
from libs.common.contracts.topics import RUN_STATUS, TABLE_STATUS
from services.api.refresh.projector import RefreshProjector
from services.api.runs.projector import Projector


def subscriptions(projector: Projector, refreshes: RefreshProjector) -> Subscriptions:
    """The table."""
    return {
        RUN_STATUS: dict.fromkeys(RUN_FACTS, projector.handle),
        TABLE_STATUS: {TableRefreshed: refreshes.on_refreshed, TableRefreshFailed: refreshes.on_failed},
    }
