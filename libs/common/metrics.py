"""Every metric that the services export: a closed set, documented here and nowhere else.

Units are last in the name (``_seconds``, ``_bytes``, ``_total``). Labels hold words from short, known lists; ids,
keys and messages belong into logs. One gauge names ingestions, and says why.
"""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)

MESSAGES_HANDLED = Counter(
    "autoloader_messages_handled",
    "Messages that a consumer is through with. outcome: done, fenced, ignored, set_aside.",
    ("topic", "outcome"),
)
MESSAGE_RETRIES = Counter(
    "autoloader_message_retries",
    "Attempts at a message that will be repeated. kind: temporary, bug.",
    ("topic", "kind"),
)
MESSAGE_SECONDS = Histogram(
    "autoloader_message_seconds", "How long one attempt at a message took.", ("topic",), buckets=_LONG
)
MESSAGES_IN_FLIGHT = Gauge("autoloader_messages_in_flight", "Messages that wait or run in this process.", ("consumer",))
DEAD_LETTERS = Counter(
    "autoloader_dead_letters", "Messages set aside, by their topic of origin and the reason's code.", ("topic", "code")
)
OUTBOX_SENT = Counter("autoloader_outbox_sent", "Outbox rows that the broker has taken.", ("topic",))
OUTBOX_LAG_SECONDS = Gauge(
    "autoloader_outbox_lag_seconds", "Age of the oldest row in the latest batch that the relay sent."
)
OUTBOX_PROBLEM = Gauge("autoloader_outbox_problem", "1 while the relay cannot send, else 0.")

NOTIFICATIONS = Counter(
    "autoloader_notifications",
    "What buckets told. outcome: taken, foreign (no ingestion wants it), removed, test.",
    ("outcome",),
)
FILES_UNNOTICED = Counter(
    "autoloader_files_unnoticed", "New files that a listing found, and that notifications should have told of."
)
FRESHNESS_SECONDS = Histogram(
    "autoloader_freshness_seconds",
    "From the time of an object until its rows could be queried. trigger: of its run, as in event.",
    ("trigger",),
    buckets=(1, 2, 3, 4, 5, 6, 8, 10, 15, 30, 60, 300, 900, 3600, 86400),
)
HTTP_NOTIFICATIONS = Counter(
    "autoloader_http_notifications",
    "Notifications that came over HTTP. outcome: accepted, unreadable, forged (without the secret, or a wrong one).",
    ("outcome",),
)
QUEUE_PROBLEM = Gauge(
    "autoloader_queue_problem",
    "1 while the notifications of a queue cannot be taken in, else 0. queue: its name, as the settings have it.",
    ("queue",),
)

RUNS = Counter("autoloader_runs", "Runs that ended, by their final status.", ("status",))
SCHEDULE_TICKS = Counter(
    "autoloader_schedule_ticks",
    "Ticks of schedules. outcome: started (a run), joined (the run that waits), missed, blocked (it is tried again).",
    ("outcome",),
)
SCHEDULE_LATE_SECONDS = Histogram(
    "autoloader_schedule_late_seconds", "How long after it was due a tick's run was asked for.", buckets=_LONG
)
BATCHES = Counter("autoloader_batches", "Batches that this process lost to another one. outcome: fenced.", ("outcome",))
PUBLISHES = Counter(
    "autoloader_publishes",
    "Publishes, burns among them, by what the table held of the batch afterwards. outcome: taken, refused (nothing: "
    "other commits came first, or Spark failed; it is tried again).",
    ("outcome",),
)
WEBHOOK_ATTEMPTS = Counter(
    "autoloader_webhook_attempts", "Requests to webhooks. outcome: delivered, again, dead.", ("outcome",)
)

EXPECTED_FILES = Counter(
    "autoloader_expected_files",
    "Periods whose expected files did not come in time (outcome: missing), and those of them whose files came after "
    "all (outcome: late).",
    ("outcome",),
)
SCANS_WAITING = Gauge(
    "autoloader_scans_waiting", "Listings of this process that stand still until executors have caught up."
)
WATERMARK_LAG_SECONDS = Gauge(
    "autoloader_watermark_lag_seconds",
    "How long ago the watermark of an active ingestion is: what landed before it is loaded, set aside or left out. An "
    "alert has to say whose it is, so this one names the ingestion.",
    ("ingestion_id",),
)

HTTP_REQUESTS = Counter(
    "autoloader_http_requests", "Requests answered, by route template.", ("method", "route", "status")
)
HTTP_REQUEST_SECONDS = Histogram(
    "autoloader_http_request_seconds", "Time until a request was answered.", ("method", "route"), buckets=_SHORT
)


def serve(port: int | None) -> Callable[[], None]:
    """Serves ``/metrics`` on ``port`` from a thread; None serves nothing. Returns what stops it.

    Raises:
        OSError: the port is taken.
    """
    if port is None:
        return lambda: None
    server, thread = start_http_server(port)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=1)

    return stop
