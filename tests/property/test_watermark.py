"""A watermark is true: whatever landed, was listed, noticed and loaded in whatever order, nothing that the store had
before it is left. And it never falls."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from libs.common.completeness.watermark import advanced, reached

START = datetime(2025, 1, 7, tzinfo=UTC)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "begin", "see", "end", "notice", "finish", "look"]),
        st.integers(0, 30),
        st.integers(0, 4),
    ),
    max_size=60,
)


@dataclass
class World:
    """Objects by number; what a listing, a notification and an executor do with them. The store's clock is some seconds
    apart from the database's, and tells whole seconds."""

    skew: timedelta
    now: datetime = START
    landed: dict[int, datetime] = field(default_factory=dict)
    """On the database's clock: when it could be seen."""
    known: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    begun: datetime | None = None
    to_see: list[int] = field(default_factory=list)
    listed_from: datetime | None = None
    stated: datetime | None = None

    def do(self, what: str, which: int) -> None:
        if what == "put":
            self.landed[len(self.landed)] = self.now
        elif what == "begin" and self.begun is None:
            self.begun, self.to_see = self.now, list(self.landed)
        elif what == "see" and self.to_see:
            self.known.add(self.to_see.pop(which % len(self.to_see)))
        elif what == "end" and self.begun is not None and not self.to_see:
            self.listed_from = max(self.begun, self.listed_from or self.begun)
            self.begun = None
        elif what == "notice" and self.landed:
            self.known.add(which % len(self.landed))
        elif what == "finish" and self.known:
            self.done.add(sorted(self.known)[which % len(self.known)])
        elif what == "look" and self.listed_from is not None:
            self.stated = advanced(self.stated, reached(self.listed_from, self._oldest()))

    def _oldest(self) -> datetime | None:
        return min((self._last_modified(n) for n in self.known - self.done), default=None)

    def _last_modified(self, n: int) -> datetime:
        return (self.landed[n] + self.skew).replace(microsecond=0)


@given(STEPS, st.floats(-4, 4))
def test_nothing_that_was_there_before_it_is_left(steps: list[tuple[str, int, int]], skew_s: float) -> None:
    """Also of what nobody noticed, and of what landed in the middle of a listing."""
    world = World(timedelta(seconds=skew_s))
    for what, which, pause_s in steps:
        before = world.stated
        world.now += timedelta(seconds=pause_s)
        world.do(what, which)
        stated = world.stated
        if stated is None:
            continue
        assert before is None or before <= stated
        assert {n for n, at in world.landed.items() if at < stated} <= world.done
