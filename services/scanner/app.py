"""Puts the scanner together. The only module that knows everyone."""

from datetime import timedelta

from libs.common.aside import Aside
from libs.common.backbone import Backbone, default_access
from libs.common.contracts.topics import S3_NOTIFICATIONS
from libs.common.ledger.hints import Hints
from libs.common.ledger.scans import ScanLedger
from libs.common.messaging.attempt import Attempts
from libs.common.messaging.dead_letters import DeadLetters
from libs.common.objects.read_ahead import ReadAhead
from libs.common.objects.s3 import S3Objects
from libs.common.objects.side_by_side import Pace
from libs.common.secrets import SecretBox
from libs.common.service import Service
from libs.common.storage.definitions import RunDefinitions
from libs.common.storage.plans import PlannedFiles
from services.scanner.candidates import Candidates
from services.scanner.followers import Followers
from services.scanner.handlers import Scans
from services.scanner.intake import Intake
from services.scanner.notifications.polling import QueuePoller
from services.scanner.notifications.sqs import SqsQueue
from services.scanner.notifications.topic import BucketNews, TopicNews, decode_news
from services.scanner.settings import ScannerSettings
from services.scanner.subscriptions import subscriptions
from services.scanner.sweeper import scan_sweeper
from services.scanner.turns import Turns

CONSUMER = "scanner"
_LOOK_FOR_ROOM = timedelta(seconds=0.5)
NEWS_AT_ONCE = 500
"""Messages of buckets that one scanner takes in at the same time. They do nothing but wait for a common transaction."""


def build_service(settings: ScannerSettings) -> Service:
    """One process: the consumers of run requests and of notifications, the sweeper, and the relay.

    Raises:
        Permanent: codes ``no_secret_key``, ``bad_secret_key``.
    """
    backbone = Backbone.build("scanner", settings)
    lease = timedelta(seconds=settings.lease_ttl_s)
    sweep_interval = timedelta(seconds=settings.sweep_interval_s)
    ledger = ScanLedger(backbone.database, backbone.outbox, owner=settings.instance_id, lease=lease)
    definitions = RunDefinitions(backbone.database, SecretBox(settings.require_secret_key()))
    pace = Pace(settings.list_requests_at_once)
    objects = S3Objects(default_access(settings), pace)
    plans = PlannedFiles(backbone.database)
    candidates = Candidates(ledger, ReadAhead(objects), plans, page_keys=pace.page_keys)
    aside = Aside.for_sweeps(sweep_interval, backbone.database.now)

    def scans() -> Scans:
        """With turns of their own: neither lane, nor what was left behind, waits for another's."""
        turns = Turns(ledger, settings.room(), at_once=settings.scans_at_once, pause=_LOOK_FOR_ROOM)
        target = timedelta(seconds=settings.batch_target_s)
        return Scans(ledger, definitions, candidates, turns, heartbeat=lease / 3, aside=aside, batch_target=target)

    service = Service("scanner")
    service.add_resource("objects", stop=objects.close)
    backbone.attach(service)
    sweeper = scan_sweeper(ledger, scans(), interval=sweep_interval, at_once=settings.scans_open_max)
    service.add_task("sweeper", sweeper.run)
    news = TopicNews(Intake(Followers(backbone.database), Hints(backbone.database)))
    backbone.subscribe(
        service,
        subscriptions(scans(), scans(), news),
        consumer=CONSUMER,
        concurrency=settings.scans_open_max,
        apart={S3_NOTIFICATIONS: NEWS_AT_ONCE},
        foreign={S3_NOTIFICATIONS: decode_news},
    )
    _poll_queues(service, settings, backbone, news)
    return service


def _poll_queues(service: Service, settings: ScannerSettings, backbone: Backbone, news: TopicNews) -> None:
    """What queues tell is taken in as what the topic tells, and what cannot be read is among its dead letters."""
    for url in settings.sqs_queues:
        queue = SqsQueue(
            url, region=settings.sqs_region, endpoint_url=settings.sqs_endpoint_url, access=settings.sqs_access()
        )
        poller = QueuePoller(
            queue,
            Attempts({BucketNews: news.on_bucket_news}, DeadLetters(backbone.publisher), decode_news),
            topic=S3_NOTIFICATIONS.name(settings.topic_prefix),
            receivers=settings.sqs_receivers,
            hold=timedelta(seconds=settings.sqs_hold_s),
        )
        service.add_resource(f"queue {queue.name}", stop=queue.close)
        service.add_task(f"queue {queue.name}", poller.run, request_stop=poller.request_stop)
