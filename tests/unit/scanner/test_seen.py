"""What a scan tells of what it has seen, where notifications are at play."""

from datetime import UTC, datetime, timedelta

from libs.common.contracts.definition import Source
from libs.common.contracts.scope import EVERYTHING, HINTED, Scope
from libs.common.ledger.model.files import FileVersion
from services.scanner.domain.seen import ON_ITS_WAY, Seen, overdue, warnings

NOW = datetime(2025, 1, 7, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOURCE = Source(path="s3://landing/in/")


def written(at: datetime) -> FileVersion:
    return FileVersion("landing", f"in/{at.isoformat()}", "e", 1, at)


def test_only_what_notifications_had_time_to_tell_of_is_overdue() -> None:
    """From the moment at which the ingestion followed them, until a minute ago."""
    since = NOW - HOUR
    before, first, latest, too_new = map(written, (since - HOUR, since, NOW - 2 * ON_ITS_WAY, NOW - ON_ITS_WAY))
    assert [first, latest] == overdue([before, first, latest, too_new], since, NOW)


def test_a_run_of_hints_that_finds_nothing_is_no_reason_to_worry() -> None:
    """Where a listing that finds nothing says so."""
    assert () == warnings(SOURCE, HINTED, Seen())
    assert 1 == len(warnings(SOURCE, EVERYTHING, Seen()))


def test_what_notifications_missed_is_said_in_numbers() -> None:
    """With what to look at."""
    [warning] = warnings(SOURCE, Scope(noticed_since=NOW), Seen(objects=9, named=9, of_age=9, unnoticed=3))
    assert "notifications missed 3 of the files under s3://landing/in/" in warning
    assert "what the bucket is configured to send" in warning
