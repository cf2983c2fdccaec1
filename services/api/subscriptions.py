"""What happens when a message arrives: topic, message, handler. Nothing is registered anywhere else."""

from collections.abc import Mapping

from libs.common.contracts.events import RUN_FACTS, Message
from libs.common.contracts.topics import RUN_STATUS, Topic
from libs.common.messaging.loop import Handler
from services.api.runs.projector import Projector

Subscriptions = Mapping[Topic, Mapping[type[Message], Handler]]


def subscriptions(projector: Projector) -> Subscriptions:
    """The table."""
    return {RUN_STATUS: dict.fromkeys(RUN_FACTS, projector.handle)}
