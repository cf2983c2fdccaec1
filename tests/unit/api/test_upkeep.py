"""What a sweep decides."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from libs.common.contracts.events import Totals
from services.api.runs.upkeep import REPEAT_MAX, Reminders, completion_of, problem_of

RUN, INGESTION = UUID(int=1), UUID(int=2)
START = datetime(2025, 1, 7, 12, tzinfo=UTC)
INTERVAL = timedelta(seconds=10)


def asked_at(reminders: Reminders, until: timedelta) -> list[int]:
    """Seconds after ``START`` at which a run that nobody takes is asked for again, swept every second."""
    seconds = range(int(until.total_seconds()) + 1)
    return [s for s in seconds if reminders.due({RUN: START}, START + timedelta(seconds=s))]


def test_pauses_between_repetitions_double() -> None:
    """10 s after the dispatch, then 20, 40, 80 s later."""
    assert asked_at(Reminders(INTERVAL), timedelta(seconds=200)) == [10, 30, 70, 150]


def test_a_night_without_a_scanner_leaves_few_messages() -> None:
    """After the doubling, one each REPEAT_MAX."""
    asked = asked_at(Reminders(INTERVAL), timedelta(hours=8))
    assert REPEAT_MAX.total_seconds() == asked[-1] - asked[-2]
    assert len(asked) < 110


def test_a_run_that_was_taken_is_forgotten() -> None:
    """Should it wait again (its scan was lost), the pauses begin anew; and memory does not grow."""
    reminders = Reminders(INTERVAL)
    assert reminders.due({RUN: START}, START + INTERVAL) == [RUN]
    assert reminders.due({}, START + 2 * INTERVAL) == []
    assert reminders.due({RUN: START}, START + 2 * INTERVAL) == [RUN]


def test_the_ledgers_row_tells_the_runs_end() -> None:
    """Outcome, numbers, seq and time are the ledger's."""
    fact = completion_of(
        {
            "run_id": RUN,
            "ingestion_id": INGESTION,
            "generation": 3,
            "seq": 9,
            "ended_at": START,
            "totals": {"files_done": 4, "records_ingested": 40},
            "outcome": "partial",
        }
    )
    assert (
        fact.run_id, fact.ingestion_id, fact.generation, fact.seq, fact.occurred_at, fact.outcome
    ) == (RUN, INGESTION, 3, 9, START, "partial")  # fmt: skip
    assert Totals(files_done=4, records_ingested=40) == fact.totals


def test_a_failed_file_is_named_even_if_the_ledger_knows_no_reason() -> None:
    """A failed run without an error would help nobody."""
    problem = problem_of({"bucket": "b", "key": "data/x.json", "error_type": None, "error_message": None})
    assert problem.file == "s3://b/data/x.json"
    assert problem.error_type
    assert problem.message
