"""Watching a run: patient with restarts, clear about what is missing, and not for ever."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from client.answers import Metrics, Progress, Run
from client.demo.follow import GIVE_UP_AFTER_S, SAY_SO_AFTER_S, follow
from client.demo.trouble import DemoTrouble
from client.rest import ApiAway

INGESTION, RUN = UUID(int=1), UUID(int=2)
AWAY = ApiAway("no answer", code="api_unreachable")


def run(status: str = "running", done: int = 0, batches_done: int = 0, batches: int = 4, seconds: float = 0) -> Run:
    return Run(
        id=RUN,
        ingestion_id=INGESTION,
        status=status,
        progress=Progress(files_discovered=11, files_done=done, batches_planned=batches, batches_done=batches_done),
        metrics=Metrics(records_ingested=done * 100, duration_seconds=seconds),
    )


@dataclass
class Api:
    """Answers from a list, the last one again and again."""

    answers: list[Run | ApiAway]

    def run(self, ingestion_id: UUID, run_id: UUID) -> Run:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ApiAway):
            raise answer
        return answer


@dataclass
class Bar:
    shown: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, done: int, of: int, detail: str = "") -> None:
        self.shown.append((done, of))

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Time:
    """Passes when somebody sleeps."""

    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def watch(answers: Sequence[Run | ApiAway], bar: Bar, time: Time | None = None) -> Run:
    time = time or Time()
    return follow(Api(list(answers)), INGESTION, RUN, bar, clock=time.clock, sleep=time.sleep)


def test_a_run_that_moves_is_shown_until_it_is_over() -> None:
    """Every change once, the last one too, and no word of waiting."""
    bar = Bar()
    over = watch([run(), run(), run(done=3), run(done=3), run("success", done=11)], bar)
    assert over.status == "success"
    assert bar.shown == [(0, 11), (3, 11), (11, 11)]
    assert bar.notes == []


def test_an_api_that_restarts_is_waited_for() -> None:
    """No answer for a moment is not the end of the run."""
    bar = Bar()
    assert watch([run(), AWAY, AWAY, run("partial", done=2)], bar).status == "partial"


def test_a_killed_executor_is_named_and_waited_for() -> None:
    """Nothing moves while its leases run out: the demo says so now and then, and goes on when work goes on."""
    bar, time = Bar(), Time()
    quiet = [run(done=3, batches_done=1, seconds=n * 0.25) for n in range(int(4 * SAY_SO_AFTER_S / 0.25))]
    over = watch([*quiet, run("success", done=11)], bar, time)
    assert over.status == "success"
    assert len(bar.notes) == 3
    assert "executor to take up 3 batches" in bar.notes[0]
    assert "giving up in 165 s" in bar.notes[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (run("accepted", batches=0), "waiting for a scanner"),
        (run(batches_done=3), "executor to take up 1 batch"),
        (run(batches=0), "scanner to finish its listing"),
        (AWAY, "API"),
    ],
)
def test_patience_ends_with_a_word_on_what_is_missing(answer: Run | ApiAway, words: str) -> None:
    """Three minutes without any change: trouble that names who did not move, and the command that shows more."""
    bar, time = Bar(), Time()
    with pytest.raises(DemoTrouble, match=words) as caught:
        watch([answer], bar, time)
    assert time.now == pytest.approx(GIVE_UP_AFTER_S, abs=1)
    assert "autoloader dev logs" in str(caught.value)
