"""Back-pressure and fairness: what waits is bounded, and no tenant waits because of another one's files alone."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import BatchId, TenantId, new_batch_id
from libs.common.ledger.model.backlogs import Backlog, Waiting
from services.executor.domain.turns import whose_turn
from services.scanner.domain.room import RoomLimits, has_room

LIMITS = st.builds(RoomLimits, st.integers(1, 10), st.integers(1, 30))
WANTED = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=200)
"""Who asks for room, in order: (tenant, one of its ingestions)."""
START = datetime(2025, 1, 7, tzinfo=UTC)


def planned(limits: RoomLimits, wanted: list[tuple[int, int]]) -> Counter[tuple[int, int]]:
    """Each that finds room plans a batch, and no executor is there."""
    unfinished: Counter[tuple[int, int]] = Counter()
    for tenant, ingestion in wanted:
        if has_room(backlog_of(unfinished, tenant, ingestion), limits):
            unfinished[tenant, ingestion] += 1
    return unfinished


def backlog_of(unfinished: Counter[tuple[int, int]], tenant: int, ingestion: int) -> Backlog:
    tenants = {t for t, _ in unfinished} | {tenant}
    mine = sum(n for (t, _), n in unfinished.items() if t == tenant)
    return Backlog(unfinished[tenant, ingestion], mine, unfinished.total(), len(tenants))


@given(LIMITS, WANTED)
def test_what_waits_is_bounded(limits: RoomLimits, wanted: list[tuple[int, int]]) -> None:
    """Of each ingestion, and of all: a late tenant's share comes on top of what others have already."""
    unfinished = planned(limits, wanted)
    tenants = len({tenant for tenant, _ in unfinished})
    assert all(n <= limits.of_ingestion_max for n in unfinished.values())
    assert unfinished.total() <= limits.in_all_max + tenants * max(1, limits.in_all_max // 2)


@given(LIMITS, WANTED, st.integers(0, 3))
def test_a_tenant_that_has_nothing_waiting_always_finds_room(
    limits: RoomLimits, wanted: list[tuple[int, int]], tenant: int
) -> None:
    """However much others have."""
    others = [each for each in wanted if each[0] != tenant]
    assert has_room(backlog_of(planned(limits, others), tenant, 0), limits)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 5))
def test_tenants_take_turns(batches: list[int], at_once: int) -> None:
    """Batches of these tenants wait, in this order: the next is one of the tenant with the fewest in work. In the end
    each was taken once."""
    waiting: dict[int, list[tuple[datetime, BatchId]]] = {}
    for n, tenant in enumerate(batches):
        waiting.setdefault(tenant, []).append((START + timedelta(seconds=n), new_batch_id()))
    whose = {batch_id: tenant for tenant, mine in waiting.items() for _, batch_id in mine}
    in_work: list[int] = []
    taken = []
    while True:
        tenants = Counter(in_work)
        batch_id = whose_turn(
            Waiting(TenantId(str(t)), tenants[t], mine[0][1], mine[0][0]) for t, mine in waiting.items() if mine
        )
        if batch_id is None:
            break
        tenant = whose[batch_id]
        assert all(tenants[tenant] <= tenants[t] for t, mine in waiting.items() if mine)
        assert batch_id == waiting[tenant].pop(0)[1], "the oldest of its tenant"
        taken.append(batch_id)
        in_work = [*in_work, tenant][-at_once:]
    assert Counter(whose.keys()) == Counter(taken)


def test_nobody_waits() -> None:
    """Then it is nobody's turn."""
    assert whose_turn([]) is None
