"""What happens when a message arrives: topic, message, handler. Nothing is registered anywhere else."""

from libs.common.backbone import Subscriptions
from libs.common.contracts.events import FileBatchPlanned
from libs.common.contracts.topics import FILE_BATCHES
from services.executor.handlers import Batches


def subscriptions(batches: Batches) -> Subscriptions:
    """The table."""
    return {FILE_BATCHES: {FileBatchPlanned: batches.on_file_batch_planned}}
