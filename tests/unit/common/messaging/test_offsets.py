"""The finished prefix: what may be committed, whatever the order in which handlers end."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from libs.common.messaging.offsets import Offsets, Ticket
from libs.common.messaging.ports import Partition

P0, P1 = Partition("t", 0), Partition("t", 1)


def test_nothing_is_committed_while_the_oldest_message_runs() -> None:
    """Later messages that are finished wait for the first one."""
    offsets = Offsets()
    first, second, third = (offsets.track(P0, offset) for offset in (5, 6, 7))
    offsets.finish(third)
    offsets.finish(second)
    assert {} == offsets.to_commit()
    offsets.finish(first)
    assert {P0: 8} == offsets.to_commit()


def test_what_the_broker_has_is_not_committed_again() -> None:
    """Only news is worth a round trip."""
    offsets = Offsets()
    offsets.finish(offsets.track(P0, 0))
    offsets.committed(offsets.to_commit())
    assert {} == offsets.to_commit()


def test_gaps_hold_nothing_up() -> None:
    """Compaction leaves holes; they are nobody's work."""
    offsets = Offsets()
    tickets = [offsets.track(P0, offset) for offset in (0, 4, 9)]
    for ticket in tickets:
        offsets.finish(ticket)
    assert {P0: 10} == offsets.to_commit()


def test_a_ticket_of_a_lost_partition_is_dead() -> None:
    """A handler that ends after the rebalance must not commit for the partition's new owner, even if that is us."""
    offsets = Offsets()
    old = offsets.track(P0, 3)
    offsets.forget([P0])
    assert not offsets.is_valid(old)
    offsets.finish(old)
    new = offsets.track(P0, 3)
    offsets.finish(old)
    assert {} == offsets.to_commit()
    offsets.finish(new)
    assert {P0: 4} == offsets.to_commit()


def test_offsets_that_go_back_begin_a_new_term() -> None:
    """The topic was deleted and made anew: offset 0 is another message now, and 100 means nothing any more."""
    offsets = Offsets()
    old = offsets.track(P0, 100)
    new = offsets.track(P0, 0)
    offsets.finish(old)
    assert {} == offsets.to_commit()
    offsets.finish(new)
    assert {P0: 1} == offsets.to_commit()


def test_partitions_do_not_wait_for_each_other() -> None:
    """One slow partition leaves the others alone, also when only some are asked for."""
    offsets = Offsets()
    offsets.track(P0, 0)
    offsets.finish(offsets.track(P1, 0))
    assert {P1: 1} == offsets.to_commit()
    assert {} == offsets.to_commit([P0])


@given(st.lists(st.integers(1, 3), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_any_order_of_finishing_ends_at_the_last_offset(steps: list[int], random: object) -> None:
    """Each commit covers finished messages only, and the last one covers all."""
    offsets = Offsets()
    position, tickets = 0, []
    for step in steps:
        position += step
        tickets.append(offsets.track(P0, position))
    random.shuffle(tickets)  # type: ignore[attr-defined]
    unfinished = {ticket.offset for ticket in tickets}
    for ticket in tickets:
        offsets.finish(ticket)
        unfinished.discard(ticket.offset)
        expected = min(unfinished, default=position + 1)
        assert expected == offsets.to_commit().get(P0, min(t.offset for t in tickets))
    assert {P0: position + 1} == offsets.to_commit()


class AnyHistory(RuleBasedStateMachine):
    """Deliveries, gaps, completions in any order and more than once, commits, revocations and rewinds."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Offsets()
        self.next = {P0: 0, P1: 0}
        self.open: dict[Partition, dict[Ticket, int]] = {P0: {}, P1: {}}  # of the current term
        self.seen: dict[Partition, int | None] = {P0: None, P1: None}  # highest of the current term

    @rule(target=tickets, partition=st.sampled_from([P0, P1]), gap=st.integers(0, 2))
    def deliver(self, partition: Partition, gap: int) -> Ticket:
        return self._delivered(partition, gap)

    def _delivered(self, partition: Partition, gap: int) -> Ticket:
        offset = self.next[partition] + gap
        ticket = self.offsets.track(partition, offset)
        self.next[partition] = offset + 1
        self.open[partition][ticket] = offset
        self.seen[partition] = offset
        return ticket

    @rule(target=tickets, partition=st.sampled_from([P0, P1]), back=st.integers(1, 5))
    def rewind(self, partition: Partition, back: int) -> Ticket:
        if self.seen[partition] is not None:
            self.next[partition] = max(0, self.next[partition] - back)
            self.open[partition].clear()
        return self._delivered(partition, 0)

    @rule(ticket=consumes(tickets))
    def finish(self, ticket: Ticket) -> None:
        self.offsets.finish(ticket)
        self.open[ticket.partition].pop(ticket, None)

    @rule(ticket=tickets)
    def finish_and_say_it_again(self, ticket: Ticket) -> None:
        self.finish(ticket)

    @rule(partition=st.sampled_from([P0, P1]))
    def revoke(self, partition: Partition) -> None:
        self.offsets.forget([partition])
        self.open[partition].clear()
        self.seen[partition] = None

    @rule()
    def commit(self) -> None:
        self.offsets.committed(self.offsets.to_commit())

    @invariant()
    def never_past_an_unfinished_message(self) -> None:
        for partition, offset in self.offsets.to_commit().items():
            assert self.seen[partition] is not None
            assert all(offset <= unfinished for unfinished in self.open[partition].values())

    @invariant()
    def all_of_it_once_everything_is_finished(self) -> None:
        for partition, highest in self.seen.items():
            if highest is not None and not self.open[partition]:
                assert self.offsets.to_commit().get(partition, highest + 1) == highest + 1


TestAnyHistory = AnyHistory.TestCase
