"""A plan, held against what is there when it is applied."""

import pytest

from libs.common.ledger.model import FileVersion, KnownVersion
from libs.common.ledger.states import FileState
from services.scanner.domain.plan_check import TOLD_MAX, changes, told
from tests.unit.common.selection.listings import ANOTHER_RUN, THIS_RUN, known, listed

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


def test_a_long_story_is_cut_short() -> None:
    words = told([f"{n} is gone" for n in range(TOLD_MAX + 5)], 1000)
    assert words.startswith("25 of the 1,000 files of the plan are not as they were planned: 0 is gone; 1 is gone;")
    assert words.endswith("; and 5 more")
