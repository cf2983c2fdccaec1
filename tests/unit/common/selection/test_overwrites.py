"""What becomes of a file that was loaded and then written again, by policy; and of what a policy left before."""

from collections.abc import Sequence

import pytest

from libs.common.contracts.definition import OverwritePolicy
from libs.common.contracts.scope import Scope
from libs.common.ids import RunId
from libs.common.ledger.model.files import KnownVersion, Refusal, Reload
from libs.common.ledger.states import FileState
from libs.common.selection.caps import Cap, limited
from libs.common.selection.overwrites import refusal_of
from libs.common.selection.select import Selection, Terms, open_to_replacement, select
from tests.unit.common.selection.listings import ANOTHER_RUN, EARLIER_RUN, THIS_RUN, known, listed

A = listed()
LOADED = known(FileState.COMMITTED, "v0")
TAKEN = Selection(taken=(A,))
SKIPPED, NOTHING = Selection(skipped=1), Selection()
OTHER_VERSION_IN_WORK = Selection(skipped=1, passed_over=(A.digest,))
LEFT = Selection(skipped=1, left=(A,))
ADDED = Selection(taken=(A,), beside=(A.digest,))
REPLACED = Selection(reloaded=(A,))
REFUSED = Selection(refused=(Refusal(A, refusal_of(A)),))
POLICIES: tuple[OverwritePolicy, ...] = ("skip", "append", "replace", "fail")


def left(state: FileState, run: RunId = EARLIER_RUN) -> KnownVersion:
    """The version that is there, left for overwriting another one."""
    return KnownVersion(A.version_tag, state, run, by_policy=True)


def sorted_by(
    policy: OverwritePolicy,
    versions: Sequence[KnownVersion],
    reload: Reload | None = None,
    retry_of: RunId | None = None,
) -> Selection:
    reloads = {} if reload is None else {A.digest: reload}
    return select([A], {A.digest: versions}, THIS_RUN, Terms(policy, retry_of), reloads)


CASES: list[tuple[list[KnownVersion], tuple[Selection, Selection, Selection, Selection]]] = [
    # loaded in another version: what the policies are about
    ([LOADED], (LEFT, ADDED, REPLACED, REFUSED)),
    ([known(FileState.BASELINE, "v0")], (LEFT, ADDED, REPLACED, REFUSED)),
    ([LOADED, known(FileState.COMMITTED, "v00")], (LEFT, ADDED, REPLACED, REFUSED)),
    # the version was there before, and gave way or was gone
    ([LOADED, known(FileState.SUPERSEDED)], (LEFT, ADDED, REPLACED, REFUSED)),
    ([LOADED, known(FileState.MISSING)], (LEFT, ADDED, REPLACED, REFUSED)),
    # an earlier policy left it: the one of today decides
    ([LOADED, left(FileState.SKIPPED)], (SKIPPED, ADDED, REPLACED, REFUSED)),
    ([LOADED, left(FileState.FAILED)], (LEFT, ADDED, REPLACED, REFUSED)),
    ([LOADED, left(FileState.FAILED, THIS_RUN)], (LEFT, ADDED, REPLACED, NOTHING)),
    # it failed for what it holds: never again by itself
    ([LOADED, known(FileState.FAILED)], (SKIPPED, SKIPPED, SKIPPED, REFUSED)),
    ([LOADED, known(FileState.FAILED, run=THIS_RUN)], (SKIPPED, NOTHING, NOTHING, NOTHING)),
    ([LOADED, known(FileState.FAILED, "v00")], (LEFT, ADDED, REPLACED, REFUSED)),
    # one that is loaded already, also if others are, too
    ([known(FileState.COMMITTED)], (SKIPPED,) * 4),
    ([LOADED, known(FileState.COMMITTED)], (SKIPPED,) * 4),
    # one that somebody has in work
    ([LOADED, known(FileState.BATCHED)], (SKIPPED,) * 4),
    ([LOADED, known(FileState.BATCHED, "v00")], (OTHER_VERSION_IN_WORK,) * 4),
    ([LOADED, known(FileState.DISCOVERED, run=ANOTHER_RUN, held=True)], (SKIPPED,) * 4),
    ([LOADED, known(FileState.BATCHED, run=THIS_RUN)], (NOTHING,) * 4),
    # one that was to be added, and waits
    (
        [LOADED, known(FileState.DISCOVERED)],
        (LEFT, ADDED, Selection(reloaded=(A,), left=(A,)), REFUSED),
    ),
    (
        [LOADED, known(FileState.DISCOVERED, "v00")],
        (
            LEFT,
            Selection(taken=(A,), superseded=(A.digest,), beside=(A.digest,)),
            Selection(reloaded=(A,), superseded=(A.digest,)),
            REFUSED,
        ),
    ),
    # nothing is loaded: no policy says anything
    ([], (TAKEN,) * 4),
    ([known(FileState.FAILED, "v0")], (TAKEN,) * 4),
    ([left(FileState.SKIPPED)], (TAKEN,) * 4),
    ([left(FileState.FAILED)], (TAKEN,) * 4),
    ([known(FileState.SUPERSEDED, "v0")], (TAKEN,) * 4),
]


@pytest.mark.parametrize(("versions", "expected"), CASES)
def test_the_policy_decides_what_becomes_of_an_overwritten_file(
    versions: list[KnownVersion], expected: tuple[Selection, ...]
) -> None:
    """In the order skip, append, replace, fail."""
    assert expected == tuple(sorted_by(policy, versions) for policy in POLICIES)


def test_an_addition_that_an_earlier_attempt_took_goes_on() -> None:
    assert Selection(resumed=(A,)) == sorted_by("append", [LOADED, known(FileState.DISCOVERED, run=THIS_RUN)])


@pytest.mark.parametrize(
    ("reload", "expected"),
    [
        (Reload(ANOTHER_RUN, FileState.BATCHED), (OTHER_VERSION_IN_WORK,) * 4),
        (Reload(THIS_RUN, FileState.BATCHED), (NOTHING,) * 4),
        (Reload(THIS_RUN, FileState.DISCOVERED), (LEFT, ADDED, NOTHING, REFUSED)),
    ],
)
def test_rows_that_are_being_replaced_are_left_alone(reload: Reload, expected: tuple[Selection, ...]) -> None:
    """Whatever the policy: a reload replaces rows under each of them. What this run gave up, the next one takes."""
    assert expected == tuple(sorted_by(policy, [LOADED], reload) for policy in POLICIES)


@pytest.mark.parametrize(
    ("versions", "reload", "expected"),
    [
        # what that run refused, or what failed of it, is treated as the policy of today says
        ([LOADED, left(FileState.FAILED)], None, (LEFT, ADDED, REPLACED, REFUSED)),
        ([LOADED, known(FileState.FAILED)], None, (SKIPPED, ADDED, REPLACED, REFUSED)),
        # as is what it gave up of its replacements
        ([LOADED], Reload(EARLIER_RUN, FileState.DISCOVERED), (LEFT, ADDED, REPLACED, REFUSED)),
        # but not what arrived, was left, or is another run's
        ([known(FileState.COMMITTED, run=ANOTHER_RUN)], Reload(EARLIER_RUN, FileState.DISCOVERED), (NOTHING,) * 4),
        ([LOADED], Reload(EARLIER_RUN, FileState.COMMITTED), (NOTHING,) * 4),
        ([LOADED, left(FileState.SKIPPED)], None, (NOTHING,) * 4),
        ([LOADED, known(FileState.FAILED, run=ANOTHER_RUN)], None, (NOTHING,) * 4),
    ],
)
def test_a_retry_takes_what_its_run_did_not_load(
    versions: list[KnownVersion], reload: Reload | None, expected: tuple[Selection, ...]
) -> None:
    """Of overwritten files, too."""
    assert expected == tuple(sorted_by(policy, versions, reload, EARLIER_RUN) for policy in POLICIES)


def test_a_reload_of_what_failed_takes_overwritten_files_that_runs_refused() -> None:
    """That is how somebody acts on them."""
    found = select([A], {A.digest: [LOADED, left(FileState.FAILED)]}, THIS_RUN, Terms("fail", None, True, True))
    assert found == REPLACED


def test_only_loaded_keys_are_asked_for() -> None:
    """A run that finds nothing overwritten asks nothing: it lists a million files that are loaded."""
    b = listed("in/b.json")
    versions = {A.digest: [LOADED], b.digest: [known(FileState.COMMITTED)]}
    assert [A] == open_to_replacement([A, b, listed("in/c.json")], versions, Terms("replace"))
    assert [A, b] == open_to_replacement([A, b], versions, Terms("replace", again=True))


def test_a_cap_counts_what_would_be_loaded_again() -> None:
    """And what is beyond it leaves no trace."""
    b, c = listed("in/b.json"), listed("in/c.json")
    found = Selection(taken=(A, b), reloaded=(c,), beside=(b.digest,), left=(c,), superseded=(c.digest,))
    assert Selection(taken=(A,)) == limited(found, Cap.of(Scope(max_files=1)))
    assert found == limited(found, Cap.of(Scope(max_files=3)))


def test_a_refusal_says_what_to_do() -> None:
    problem = refusal_of(A)
    assert ("file_overwritten", A.uri) == (problem.error_type, problem.file)
    assert "files/reload" in problem.hint
    assert "allow_overwrites" in problem.hint
