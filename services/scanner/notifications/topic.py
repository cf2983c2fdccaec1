"""Notifications that buckets, or the API's webhook, put on the topic ``s3-notifications``: their own JSON, no event of
ours."""

from libs.common.clock import utc_now
from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import Message
from libs.common.ids import new_event_id
from services.scanner.domain.notices import Notice, parse
from services.scanner.intake import Intake


class BucketNews(Message):
    """What one message of the topic tells. It is never encoded: others write it."""

    wire_type = "bucket.news"

    notices: tuple[Notice, ...]


def decode_news(raw: bytes) -> Envelope:
    """As ``contracts.codec.decode``, for the topic of notifications.

    Raises:
        Invalid: code ``not_a_notification``.
    """
    return Envelope(new_event_id(), "a bucket", utc_now(), BucketNews(notices=parse(raw)))


class TopicNews:
    """Handles the messages of the topic. Each is acknowledged when the ledger has it."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def on_bucket_news(self, envelope: Envelope) -> None:
        news = envelope.message
        assert isinstance(news, BucketNews)
        await self._intake.take(news.notices)
