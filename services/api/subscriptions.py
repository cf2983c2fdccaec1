"""What happens when a message arrives: topic, message, handler. Nothing is registered anywhere else."""

from libs.common.backbone import Subscriptions
from libs.common.contracts.events import RUN_FACTS
from libs.common.contracts.topics import RUN_STATUS
from services.api.runs.projector import Projector


def subscriptions(projector: Projector) -> Subscriptions:
    """The table."""
    return {RUN_STATUS: dict.fromkeys(RUN_FACTS, projector.handle)}
