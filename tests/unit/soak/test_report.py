"""What the soak says at its end."""

from tests.soak.judge import Judgement
from tests.soak.report import last_line


def test_the_last_line_adds_up_all_ingestions() -> None:
    judgements = [
        Judgement("a", rows=100, runs=3, lost=1),
        Judgement("b", rows=20, runs=4, duplicated=2),
    ]
    expected = "soak: 30 min, seed 17, 250 faults, 7 runs, 120 rows, lost 1, duplicated 2"
    assert expected == last_line(30, 17, 250, judgements)


def test_a_problem_alone_spoils_an_ingestion() -> None:
    judgement = Judgement("a", rows=100, files=10, runs=3)
    assert judgement.is_clean
    judgement.problems.append("halted")
    assert "FAIL a: 10 files, 100 rows, 3 runs, 0 refreshes, lost 0, duplicated 0, other problems 1" == judgement.line()
