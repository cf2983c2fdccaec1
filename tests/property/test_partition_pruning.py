"""Whatever a full check sees, what later scans leave out is settled, and they find all else."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from hypothesis import event, given
from hypothesis import strategies as st

from libs.common.contracts.definition import Definition, Destination, PartitionPruning, Source
from libs.common.ids import IngestionId, RunId, TenantId
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.model.settled import Tally
from libs.common.storage.definitions import RunDefinition
from services.scanner.candidates import Candidates
from services.scanner.pruning import Ahead, Pruning
from tests.support.memory_ledger import MemoryLedger
from tests.support.memory_objects import MemoryObjects

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
BUCKET, PREFIX = "landing", "in/"
DAY = timedelta(days=1)
RUN, INGESTION = RunId(UUID(int=1)), IngestionId(UUID(int=0))
FOLDERS = st.lists(st.sampled_from(["y=1", "y=2", "2026", "misc", "y=10", "y=1-"]), max_size=3)
KEYS = st.builds(lambda folders, name: "/".join(["in", *folders, name]), FOLDERS, st.sampled_from("abcdef"))
AGES = st.sampled_from([80, 80, 80, 80, 4, 3, 2, 0]).map(lambda days: days * DAY)


class World:
    """A source and what its ledger remembers; scans one after the other."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.objects.create_bucket(BUCKET)
        self.ledger = MemoryLedger(lambda: NOW)

    def put(self, key: str, written_at: datetime) -> None:
        f = self.objects.put(BUCKET, key)
        self.objects.buckets[BUCKET][key] = replace(f, last_modified=written_at)

    def pruning(self, now: datetime = NOW) -> Pruning:
        source = Source(path="s3://landing/in/", partition_pruning=PartitionPruning(enabled=True))
        definition = Definition(
            name="n", cluster_id="c", source=source, destination=Destination(catalog="c", database="d", table="t")
        )
        order = RunDefinition(RUN, INGESTION, TenantId("t"), 1, "manual", definition, None, NOW)
        ledger = cast("Any", self.ledger.scanner())
        candidates = Candidates(ledger, self.objects, cast("Any", None), page_keys=1)
        claim = ScanClaim(RUN, INGESTION, 1, 1, 1, NOW)
        return Pruning(ledger, candidates, claim, order, prefix=PREFIX, terms=b"terms", now=now)

    async def full_check(self, open_keys: set[str]) -> None:
        pruning = self.pruning()
        ahead = await pruning.ahead()
        assert ahead.full_check is not None
        ahead.full_check.partitions.add(await self.listed(ahead), lambda some: Tally(*3 * (len(some),)))
        ahead.full_check.partitions.open(open_keys)
        await pruning.learn(ahead.full_check)

    async def listed(self, ahead: Ahead) -> Sequence[FileVersion]:
        async for some in self.objects.stretches(BUCKET, ahead.prefixes, None):
            ahead = replace(ahead, beside=[*ahead.beside, *(f for stretch in some for f in stretch.read())])
        return ahead.beside


@given(old=st.dictionaries(KEYS, AGES, min_size=4, max_size=40), new=st.sets(KEYS, max_size=6), data=st.data())
def test_what_is_left_out_is_settled_and_all_else_is_found(
    old: dict[str, timedelta], new: set[str], data: st.DataObject
) -> None:
    """A file that came later is left out only with others in a partition around it, all of which are settled."""
    open_keys = data.draw(st.sets(st.sampled_from(sorted(old)), max_size=3))
    world = World()
    for key, age in old.items():
        world.put(key, NOW - age)

    async def scans() -> tuple[Ahead, list[str]]:
        await world.full_check(open_keys)
        for key in new - old.keys():
            world.put(key, NOW)
        ahead = await world.pruning().ahead()
        return ahead, [f.key for f in await world.listed(ahead)]

    ahead, listed = asyncio.run(scans())
    assert len(listed) == len(set(listed))
    event(f"left out: {min(len(ahead.left_out), 3)}")
    left = {key for key in {*old, *new} if key not in listed}
    assert sum(tally.objects for tally in ahead.left_out) == len(left & old.keys())
    assert all(key not in open_keys and old[key] > 2 * DAY for key in left & old.keys())
    for key in left - old.keys():
        folders = [key[: end + 1] for end, letter in enumerate(key) if letter == "/"][1:]
        inside = [{other for other in old if other.startswith(folder)} for folder in folders]
        assert any(others and others <= left for others in inside)


@given(old=st.dictionaries(KEYS, st.just(4 * DAY), min_size=1, max_size=40))
def test_marks_are_void_in_the_next_period_and_when_something_ceased_to_be_loaded(old: dict[str, timedelta]) -> None:
    """Everything is listed then, and told anew."""
    world = World()
    for key, age in old.items():
        world.put(key, NOW - age)

    async def scans() -> tuple[Ahead, Ahead]:
        await world.full_check(set())
        tomorrow = await world.pruning(NOW + DAY).ahead()
        world.ledger.epochs[INGESTION, 1] = 1
        return tomorrow, await world.pruning().ahead()

    for ahead in asyncio.run(scans()):
        assert ahead.full_check is not None
        assert [PREFIX] == list(ahead.prefixes)
        assert [] == [*ahead.left_out, *ahead.beside]
