"""Looking at a page twice is looking once, and nothing is lost, whatever the ledger knows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import RunId
from libs.common.ledger.model.files import FileVersion, KnownVersion, Reload, digest_of, is_by_policy, last_of_each
from libs.common.ledger.states import LIVE_FILE_STATES, LOADED_FILE_STATES, FileState
from libs.common.selection.select import Selection, Terms, open_to_replacement, select
from libs.common.selection.standing import KeyStanding

RUN, OTHER = RunId(UUID(int=1)), RunId(UUID(int=2))
FILES = st.builds(
    lambda key, etag: FileVersion("b", key, etag, 1, datetime(2025, 1, 7, tzinfo=UTC)),
    st.sampled_from(["a", "b", "c", "_d", "e//f"]),
    st.sampled_from(["v1", "v2", "v3"]),
)
TERMS = st.builds(Terms, st.sampled_from(["skip", "append", "replace", "fail"]))
Known = Mapping[bytes, Sequence[KnownVersion]]


@st.composite
def ledgers(draw: st.DrawFn) -> dict[bytes, list[KnownVersion]]:
    """Any history of each key; at most one version is live, as Postgres sees to, beside loaded ones."""
    known: dict[bytes, list[KnownVersion]] = {}
    for key in ("a", "b", "c", "_d", "e//f"):
        versions: list[KnownVersion] = []
        for etag in draw(st.sets(st.sampled_from(["v1", "v2", "v3"]))):
            state = draw(st.sampled_from(sorted(FileState)))
            in_work = LIVE_FILE_STATES - LOADED_FILE_STATES
            if state in in_work and any(v.state in in_work for v in versions):
                continue
            given_up = state is FileState.DISCOVERED and draw(st.booleans())
            by_policy = state is FileState.SKIPPED or (state is FileState.FAILED and draw(st.booleans()))
            run_id = draw(st.sampled_from([RUN, OTHER]))
            held = state is FileState.DISCOVERED and run_id == OTHER and draw(st.booleans())
            versions.append(KnownVersion(f"{etag}:1", state, run_id, given_up, held, by_policy))
        if versions:
            known[digest_of("b", key)] = versions
    return known


def after(known: Known, found: Selection) -> dict[bytes, list[KnownVersion]]:
    """The ledger once the page is recorded: what ``ScanLedger.record`` does."""
    result = {digest: list(versions) for digest, versions in known.items()}

    def put(f: FileVersion, state: FileState, error_type: str | None = None) -> None:
        versions = [v for v in result.get(f.digest, []) if v.version_tag != f.version_tag]
        by_policy = is_by_policy(state, error_type)
        result[f.digest] = [*versions, KnownVersion(f.version_tag, state, RUN, by_policy=by_policy)]

    for digest in found.superseded:
        result[digest] = [
            replace(v, state=FileState.SUPERSEDED) if v.state is FileState.DISCOVERED else v for v in result[digest]
        ]
    for f in found.taken:
        put(f, FileState.DISCOVERED)
    for f in found.left:
        put(f, FileState.SKIPPED)
    for refusal in found.refused:
        put(refusal.file, FileState.FAILED, refusal.problem.error_type)
    return result


def is_loaded(known: Known, f: FileVersion, *, in_this_version: bool = False) -> bool:
    return any(
        v.state in LOADED_FILE_STATES and (not in_this_version or v.version_tag == f.version_tag)
        for v in known.get(f.digest, ())
    )


def in_work(found: Selection) -> list[bytes]:
    files = (*found.taken, *found.resumed, *found.reloaded, *(r.file for r in found.refused))
    return [f.digest for f in files]


@given(st.lists(FILES, max_size=8), ledgers(), TERMS)
def test_each_key_is_at_most_once_in_work(files: list[FileVersion], known: Known, terms: Terms) -> None:
    """However often a page names it."""
    found = select(files, known, RUN, terms)
    assert sorted(set(in_work(found))) == sorted(in_work(found))
    new = {f.digest for f in (*found.taken, *found.reloaded)}
    assert set(found.superseded) <= new
    assert set(found.beside) <= {f.digest for f in found.taken}


@given(st.lists(FILES, max_size=8), ledgers(), TERMS)
def test_nothing_is_lost(files: list[FileVersion], known: Known, terms: Terms) -> None:
    """Each key is in work, or counted, or this run's own already."""
    found = select(files, known, RUN, terms)
    in_work_now = set(in_work(found))
    others = {f.digest for f in files} - in_work_now
    own = {d for d in others if any(v.run_id == RUN for v in known[d])}
    assert len(others - own) <= found.skipped <= len(others)
    assert set(files) >= set(found.taken) | set(found.resumed)


@given(st.lists(FILES, max_size=8), ledgers(), TERMS, st.sets(st.sampled_from([RUN, OTHER])))
def test_what_is_settled_is_skipped_and_nothing_else(
    files: list[FileVersion], known: Known, terms: Terms, reloading: set[RunId]
) -> None:
    """A page without its settled keys is the same work, however it stands with replacements of their rows."""
    page = last_of_each(files)
    others = {digest: f for digest, f in page.items() if not KeyStanding(f, known.get(digest, ()), RUN).is_settled}
    reloads = {digest: Reload(run, FileState.BATCHED) for run in reloading for digest in page}
    asked = {f.digest: reloads[f.digest] for f in open_to_replacement(files, known, terms) if f.digest in reloads}
    whole = select(files, known, RUN, terms, asked)
    rest = select(list(others.values()), known, RUN, terms, asked)
    assert whole == replace(rest, skipped=rest.skipped + len(page) - len(others))
    assert open_to_replacement(list(page.values()), known, terms) == open_to_replacement(
        list(others.values()), known, terms
    )


@given(st.lists(FILES, max_size=8), ledgers(), TERMS)
def test_a_loaded_version_is_never_taken_again(files: list[FileVersion], known: Known, terms: Terms) -> None:
    """Nor is a key that is in a batch, in whatever version it is there now."""
    found = select(files, known, RUN, terms)
    busy = {
        digest
        for digest, versions in known.items()
        if any(v.state in (FileState.BATCHED, FileState.QUARANTINED) for v in versions)
    }
    assert busy.isdisjoint(in_work(found))
    assert not any(is_loaded(known, f, in_this_version=True) for f in (*found.taken, *found.reloaded))


@given(st.lists(FILES, max_size=8), ledgers(), TERMS)
def test_only_by_its_policy_does_a_run_touch_what_is_loaded(
    files: list[FileVersion], known: Known, terms: Terms
) -> None:
    """Added beside it, put in its place, refused, or left."""
    found = select(files, known, RUN, terms)
    added = {f.digest for f in (*found.taken, *found.resumed) if is_loaded(known, f)}
    assert set(found.beside) <= added
    assert not added or terms.overwrites == "append"
    assert not found.reloaded or terms.overwrites == "replace"
    assert all(r.problem.error_type == "file_overwritten" for r in found.refused if is_loaded(known, r.file)) or (
        terms.overwrites == "append"
    )
    assert all(is_loaded(known, f) for f in (*found.left, *found.reloaded))


@given(st.lists(FILES, max_size=8), ledgers(), TERMS)
def test_a_second_look_finds_the_same_work_and_nothing_new(
    files: list[FileVersion], known: Known, terms: Terms
) -> None:
    """A listing that is begun again, after a crash right behind the page."""
    first = select(files, known, RUN, terms)
    recorded = after(known, first)
    on_their_way = {f.digest: Reload(RUN, FileState.BATCHED) for f in first.reloaded}
    second = select(files, recorded, RUN, terms, on_their_way)
    assert ((), (), (), (), ()) == (second.taken, second.superseded, second.refused, second.reloaded, second.left)
    assert {*first.taken, *first.resumed} == set(second.resumed)
    assert first.skipped == second.skipped
    in_work_states = LIVE_FILE_STATES - LOADED_FILE_STATES
    live = [[v for v in versions if v.state in in_work_states] for versions in recorded.values()]
    assert all(len(versions) <= 1 for versions in live)
