"""Files come, change, go, and come back as they were, while runs go by and the policy changes: the table holds what a
few lines of reference say.

The services' code runs over the model's memory, without any trouble; ``tests/model`` has the trouble.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.contracts.definition import OverwritePolicy
from libs.common.lifecycle.run import RunStatus
from tests.model.world import BUCKET, World

POLICIES: tuple[OverwritePolicy, ...] = ("skip", "append", "replace", "fail")
KEYS, CONTENTS = "ab", (0, 1, 2)


@dataclass(frozen=True)
class Put:
    key: str
    content: int


@dataclass(frozen=True)
class Delete:
    key: str


@dataclass(frozen=True)
class Follow:
    policy: OverwritePolicy


class Run:
    """A run, to its end."""

    def __repr__(self) -> str:
        return "Run()"


Step = Put | Delete | Follow | Run
PUTS = st.builds(Put, st.sampled_from(KEYS), st.sampled_from(CONTENTS))
STEPS = st.lists(
    st.one_of(PUTS, PUTS, st.builds(Run), st.builds(Delete, st.sampled_from(KEYS))), min_size=2, max_size=12
)
STEPS_AND_POLICIES = st.lists(
    st.one_of(PUTS, st.builds(Run), st.builds(Follow, st.sampled_from(POLICIES))), max_size=12
)


def ids(key: str, content: int) -> set[int]:
    """Rows of this content; no two contents share one."""
    first = 100 * KEYS.index(key) + 10 * content
    return set(range(first, first + content + 1))


@dataclass
class Reference:
    """What a user has in mind: ``there`` is the bucket, ``loaded`` the contents whose rows the table has, by key."""

    policy: OverwritePolicy
    there: dict[str, int] = field(default_factory=dict)
    loaded: dict[str, set[int]] = field(default_factory=dict)

    def run(self) -> RunStatus:
        """The run's end."""
        done = failed = 0
        for key, content in self.there.items():
            before = self.loaded.get(key, set())
            if content in before or (before and self.policy == "skip"):
                continue
            if before and self.policy == "fail":
                failed += 1
                continue
            done += 1
            self.loaded[key] = {content} if self.policy == "replace" else before | {content}
        if failed:
            return RunStatus.PARTIAL if done else RunStatus.FAILED
        return RunStatus.SUCCESS

    def rows(self) -> Counter[int]:
        return Counter(i for key, contents in self.loaded.items() for content in contents for i in ids(key, content))


@pytest.fixture(autouse=True)
def _without_logs() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def tell(policy: OverwritePolicy, steps: Sequence[Step]) -> None:
    """Plays the steps in both worlds, and compares them after each run."""
    reference, world = Reference(policy), World()
    world.obey(policy)
    try:
        for step in [*steps, Run()]:
            match step:
                case Put(key, content):
                    reference.there[key] = content
                    body = "".join(f'{{"id": {i}}}\n' for i in ids(key, content))
                    world.objects.put(BUCKET, f"data/{key}.json", body.encode())
                case Delete(key):
                    if reference.there.pop(key, None) is not None:
                        world.objects.delete(BUCKET, f"data/{key}.json")
                case Follow(changed):
                    reference.policy = changed
                    world.obey(changed)
                case Run():
                    world.request_run()
                    world.settle()
                    *_, last = world.api.runs.values()
                    assert reference.run() == last.status
                    there = Counter(json.loads(row)["id"] for row in world.rows())
                    assert reference.rows() == there
    finally:
        world.close()


@pytest.mark.parametrize("policy", POLICIES)
@given(steps=STEPS)
@settings(max_examples=60)
def test_the_table_holds_what_the_policy_says(policy: OverwritePolicy, steps: list[Step]) -> None:
    """And runs end as they should."""
    tell(policy, steps)


@given(first=st.sampled_from(POLICIES), steps=STEPS_AND_POLICIES)
@settings(max_examples=150)
def test_a_policy_may_change_between_two_runs(first: OverwritePolicy, steps: list[Step]) -> None:
    """What an earlier one left is open to those that load overwritten files."""
    tell(first, steps)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_content_that_comes_back(policy: OverwritePolicy) -> None:
    """Loaded, overwritten, and written back."""
    tell(policy, [Put("a", 0), Run(), Put("a", 1), Run(), Put("a", 0), Run(), Put("a", 1), Run()])
