"""How fresh what was just committed is."""

from libs.common import metrics
from libs.common.clock import utc_now
from services.executor.attempt import Attempt


def observe_freshness(attempt: Attempt) -> None:
    """Measures from the time of each object, by the store's clock, until now, by ours."""
    seconds = metrics.FRESHNESS_SECONDS.labels(trigger=attempt.order.trigger)
    now = utc_now()
    for f in attempt.files:
        seconds.observe(max(0.0, (now - f.last_modified).total_seconds()))
