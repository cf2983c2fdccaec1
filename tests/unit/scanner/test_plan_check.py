"""A plan, held against what is there when it is applied."""

import pytest

from libs.common.contracts.definition import OverwritePolicy
from libs.common.ledger.model.files import FileVersion, KnownVersion, Reload
from libs.common.ledger.states import FileState
from services.scanner.domain.plan_check import TOLD_MAX, changes, told
from tests.unit.common.selection.listings import ANOTHER_RUN, EARLIER_RUN, THIS_RUN, known, listed

A = listed()


@pytest.mark.parametrize(
    ("now", "versions", "expected"),
    [
        (A, [], None),
        (A, [known(FileState.DISCOVERED)], None),
        (A, [known(FileState.FAILED)], None),
        (A, [known(FileState.COMMITTED, run=THIS_RUN)], None),
        (None, [known(FileState.BATCHED, run=THIS_RUN)], None),
        (None, [], "in/a.json is gone"),
        (listed(etag="v2"), [], "in/a.json was overwritten"),
        (A, [known(FileState.COMMITTED, run=ANOTHER_RUN)], f"in/a.json is committed in run {ANOTHER_RUN}"),
        (A, [known(FileState.BATCHED, "v0", run=ANOTHER_RUN)], f"in/a.json is in work in run {ANOTHER_RUN}"),
        (A, [known(FileState.DISCOVERED, run=ANOTHER_RUN, held=True)], f"in/a.json is in work in run {ANOTHER_RUN}"),
    ],
)
def test_what_happened_to_a_file_since(
    now: FileVersion | None, versions: list[KnownVersion], expected: str | None
) -> None:
    """What the run took itself, before a crash, is as it should be."""
    assert ([] if expected is None else [expected]) == changes([A], {A.key: now}, {A.digest: versions}, THIS_RUN)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([known(FileState.COMMITTED, "v0")], None),
        ([known(FileState.COMMITTED, "v0"), known(FileState.SKIPPED)], None),
        ([known(FileState.COMMITTED)], f"in/a.json is committed in run {EARLIER_RUN}"),
        (
            [known(FileState.COMMITTED, "v0"), known(FileState.BATCHED)],
            f"in/a.json is in work in run {EARLIER_RUN}",
        ),
    ],
)
@pytest.mark.parametrize("policy", ["append", "replace"])
def test_a_plan_to_load_an_overwritten_file_holds(
    policy: OverwritePolicy, versions: list[KnownVersion], expected: str | None
) -> None:
    """The earlier version is what it was made for. That one is a change only where it would not be loaded."""
    told = changes([A], {A.key: A}, {A.digest: versions}, THIS_RUN, overwrites=policy)
    assert ([] if expected is None else [expected]) == told
    assert changes([A], {A.key: A}, {A.digest: versions}, THIS_RUN)


def test_a_file_whose_rows_another_run_replaces_is_in_work() -> None:
    """What this run has begun itself is no change."""
    versions = {A.digest: [known(FileState.COMMITTED, "v0")]}
    for run, expected in ((ANOTHER_RUN, [f"in/a.json is in work in run {ANOTHER_RUN}"]), (THIS_RUN, [])):
        reloads = {A.digest: Reload(run, FileState.BATCHED)}
        assert expected == changes([A], {A.key: A}, versions, THIS_RUN, overwrites="replace", reloads=reloads)


def test_a_long_story_is_cut_short() -> None:
    words = told([f"{n} is gone" for n in range(TOLD_MAX + 5)], 1000)
    assert words.startswith("25 of the 1,000 files of the plan are not as they were planned: 0 is gone; 1 is gone;")
    assert words.endswith("; and 5 more")
