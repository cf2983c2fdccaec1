"""What the process of a peer says, and what is made of it."""

import pytest

from bench.measures import Took
from bench.peers.apart import MISCOUNTED, answer_of
from bench.peers.peer import GivenUp, Miscounted

TOOK = Took(seconds=1.5, rows=3, peak_rss_bytes=100)


def test_the_last_line_counts_whatever_a_library_printed_before() -> None:
    assert TOOK == answer_of(0, f"Loading...\n{TOOK.model_dump_json()}\n", "")


def test_a_peer_that_breaks_is_given_up_with_its_last_word() -> None:
    with pytest.raises(GivenUp, match="it ended with 1: ValueError: no such bucket"):
        answer_of(1, "", "Traceback\nValueError: no such bucket\n")


def test_a_peer_that_was_killed_says_nothing() -> None:
    with pytest.raises(GivenUp, match="it ended with -9: it said nothing"):
        answer_of(-9, "", "")


def test_wrong_counts_are_no_mere_failure() -> None:
    """A peer that loads other rows than there are ends the benchmark: something is wrong with it, or with us."""
    with pytest.raises(Miscounted, match="2 rows were loaded"):
        answer_of(MISCOUNTED, "", "2 rows were loaded, and 3 are in the files\n")
