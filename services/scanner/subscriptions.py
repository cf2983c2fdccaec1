"""What happens when a message arrives: topic, message, handler. Nothing is registered anywhere else."""

from libs.common.backbone import Subscriptions
from libs.common.contracts.events import RunRequested
from libs.common.contracts.topics import BACKFILL_REQUESTS, RUN_REQUESTS, S3_NOTIFICATIONS
from services.scanner.handlers import Scans
from services.scanner.notifications.topic import BucketNews, TopicNews


def subscriptions(fresh: Scans, backfills: Scans, news: TopicNews) -> Subscriptions:
    """The table. Each lane has turns of its own."""
    return {
        RUN_REQUESTS: {RunRequested: fresh.on_run_requested},
        BACKFILL_REQUESTS: {RunRequested: backfills.on_run_requested},
        S3_NOTIFICATIONS: {BucketNews: news.on_bucket_news},
    }
