"""How fresh what was committed is, in a metric."""

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from libs.common import metrics
from libs.common.clock import utc_now
from libs.common.ledger.model.files import FileVersion
from services.executor.attempt import Attempt
from services.executor.freshness import observe_freshness


def measured(trigger: str) -> tuple[float, float]:
    """How many objects, and their seconds together."""
    samples = {
        s.name: s.value
        for metric in metrics.FRESHNESS_SECONDS.collect()
        for s in metric.samples
        if s.labels.get("trigger") == trigger and not s.name.endswith("_bucket")
    }
    name = "autoloader_freshness_seconds"
    return samples.get(f"{name}_count", 0), samples.get(f"{name}_sum", 0)


def test_each_object_is_measured_from_its_own_time() -> None:
    """By the trigger of its run; an object of the future, by the store's clock, is fresh."""
    now = utc_now()
    ages = (timedelta(seconds=60), timedelta(seconds=40), timedelta(seconds=-60))
    files = tuple(FileVersion("landing", f"{n}", "e", 1, now - age) for n, age in enumerate(ages))
    attempt = SimpleNamespace(order=SimpleNamespace(trigger="of this test"), files=files)
    observe_freshness(cast("Attempt", attempt))
    count, seconds = measured("of this test")
    assert 3 == count
    assert 100 <= seconds < 110
