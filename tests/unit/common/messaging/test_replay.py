"""Which dead letters go back, and how it is remembered."""

import pytest

from libs.common.errors import Permanent
from libs.common.messaging.ports import Incoming, Outgoing
from libs.common.messaging.replay import Refused, Replayed, decide, letter_of


def dead(headers: dict[str, str]) -> Incoming:
    return Incoming("t.dlq", 0, 7, b"k", b"v", {name: text.encode() for name, text in headers.items()})


def test_a_letter_goes_back_with_key_and_value_and_says_where_it_lay() -> None:
    """Its handler sees what it saw before."""
    letter = letter_of(dead({"origin-topic": "t", "code": "bug", "reason": "KeyError"}))
    assert Outgoing("t", "k", b"v", {"replayed-from": "t.dlq/0/7"}) == decide(letter)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"origin-topic": "t", "value-bytes": "2097152"}, "only 1 bytes of 2097152 were kept"),
        ({"origin-topic": "elsewhere"}, "its origin is elsewhere"),
        ({}, "its origin is unknown"),
    ],
)
def test_a_letter_that_would_not_be_the_same_message_stays(headers: dict[str, str], reason: str) -> None:
    """With the reason in words."""
    decision = decide(letter_of(dead(headers)))
    assert isinstance(decision, Refused)
    assert decision.reason.startswith(reason)


@pytest.mark.parametrize(
    ("offsets", "before", "metadata"),
    [
        ([], 0, ""),
        ([0, 1, 2], 3, ""),
        ([1, 2, 4], 0, "1-2,4"),
        ([0, 2, 3, 4, 9], 1, "2-4,9"),
    ],
)
def test_what_was_replayed_is_remembered_exactly(offsets: list[int], before: int, metadata: str) -> None:
    """As a prefix and what lies behind it; and it is read back as it was written."""
    replayed = Replayed().with_these(offsets)
    assert (before, metadata) == (replayed.before, replayed.metadata)
    assert set(offsets) == {offset for offset in range(20) if offset in Replayed.parse(before, metadata)}


def test_a_closed_gap_moves_the_prefix_on() -> None:
    """The letter that was in the way has been replayed, too."""
    assert Replayed(4) == Replayed().with_these([1, 2, 3]).with_these([0])


def test_letters_that_the_broker_has_forgotten_are_forgotten() -> None:
    """Otherwise the memory would grow for ever."""
    assert Replayed(5, frozenset({8})) == Replayed(0, frozenset({2, 3, 8})).since(5)


def test_a_memory_that_does_not_fit_is_refused_before_anything_is_sent() -> None:
    """A broker keeps 4,096 characters beside an offset."""
    with pytest.raises(Permanent) as raised:
        Replayed().with_these(range(1, 5000, 2))
    assert "replay_too_scattered" == raised.value.code
