"""What buckets tell is written together, and acknowledged when it is written."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from libs.common.contracts.definition import Source
from libs.common.errors import Temporary
from libs.common.ids import IngestionId, new_ingestion_id
from libs.common.ledger.hints import Hints
from libs.common.ledger.model.hints import Hint
from services.scanner.domain.matching import Index
from services.scanner.domain.notices import Kind, Notice
from services.scanner.followers import Followers
from services.scanner.intake import NOTICES_AT_ONCE, Intake, understood

A, B = sorted([new_ingestion_id(), new_ingestion_id()])


def index() -> Index:
    known = Index()
    known.put(A, Source(path="s3://landing/in/"))
    known.put(B, Source(path="s3://landing/", file_pattern="*.json"))
    return known


def told(key: str, bucket: str = "landing", kind: Kind = "created") -> Notice:
    return Notice(kind, bucket, key, size_bytes=7)


class StandingFollowers:
    async def index(self) -> Index:
        return index()


class SlowHints:
    """Writes when it is told to; ``away`` is how often it fails first."""

    def __init__(self) -> None:
        self.written: list[list[Hint]] = []
        self.go_on = asyncio.Event()
        self.away = 0

    async def add(self, hints: Sequence[Hint]) -> None:
        await self.go_on.wait()
        if self.away:
            self.away -= 1
            raise Temporary("Postgres is not available", code="database_unavailable")
        self.written.append(list(hints))

    @property
    def keys(self) -> list[list[str]]:
        return [sorted({h.key for h in each}) for each in self.written]


def intake_of(hints: SlowHints) -> Intake:
    return Intake(cast("Followers", StandingFollowers()), cast("Hints", hints))


def test_a_notice_is_a_hint_for_everybody_who_wants_its_object() -> None:
    """And is counted once."""
    hints, outcomes = understood([told("in/a.json"), told("in/b.csv"), told("c.json")], index())
    whose: list[tuple[IngestionId, str]] = [(A, "in/a.json"), (B, "in/a.json"), (A, "in/b.csv"), (B, "c.json")]
    assert sorted(whose) == sorted((h.ingestion_id, h.key) for h in hints)
    assert {7} == {h.size_bytes for h in hints}
    assert {"taken": 3} == outcomes


def test_what_concerns_nobody_is_dropped_and_counted() -> None:
    """Another bucket, another place, objects that were removed, the bucket trying out its configuration."""
    notices = [
        told("in/a.json", bucket="other"),
        told("elsewhere/a.csv"),
        told("in/a.json", kind="removed"),
        told("", kind="test"),
    ]
    assert ([], {"foreign": 2, "removed": 1, "test": 1}) == understood(notices, index())


async def test_notices_that_come_together_are_written_together() -> None:
    """While the first is being written the others gather; nobody is told before his are there."""
    hints = SlowHints()
    intake = intake_of(hints)
    tasks = [asyncio.create_task(intake.take([told(f"in/{n}")])) for n in range(100)]
    await asyncio.sleep(0)
    late = asyncio.create_task(intake.take([told("in/late")]))
    await asyncio.sleep(0)
    assert not any(task.done() for task in (*tasks, late))
    hints.go_on.set()
    await asyncio.gather(*tasks, late)
    assert 2 >= len(hints.written)
    assert {f"in/{n}" for n in range(100)} | {"in/late"} == {key for keys in hints.keys for key in keys}


async def test_a_transaction_is_bounded() -> None:
    """A flood is several of them."""
    hints = SlowHints()
    hints.go_on.set()
    intake = intake_of(hints)
    half = [told(f"in/{n}") for n in range(NOTICES_AT_ONCE // 2 + 1)]
    await asyncio.gather(*(intake.take(half) for _ in range(3)))
    assert 3 == len(hints.written)


async def test_a_write_that_fails_is_no_one_elses_success() -> None:
    """The one who wrote hears of it; the others write what is theirs."""
    hints = SlowHints()
    hints.away = 1
    intake = intake_of(hints)
    tasks = [asyncio.create_task(intake.take([told(f"in/{n}")])) for n in range(3)]
    await asyncio.sleep(0)
    hints.go_on.set()
    first, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, Temporary)
    assert [None, None] == others
    assert [["in/1", "in/2"]] == hints.keys
    await intake.take([told("in/0")])
    assert ["in/0"] == hints.keys[-1]


async def test_one_who_gives_up_does_not_disturb_the_others() -> None:
    """His consumer lost the partition in the middle of the write."""
    hints = SlowHints()
    intake = intake_of(hints)
    tasks = [asyncio.create_task(intake.take([told(f"in/{n}")])) for n in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    tasks[1].cancel()
    hints.go_on.set()
    await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert tasks[2].exception() is None
    assert "in/2" in hints.keys[-1]


async def test_a_failure_is_told_as_it_was() -> None:
    """So that the message is tried again, and not set aside."""
    hints = SlowHints()
    hints.away = 1
    hints.go_on.set()
    with pytest.raises(Temporary):
        await intake_of(hints).take([told("in/a")])
