"""Looking at a page twice is looking once, and nothing is lost, whatever the ledger knows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import RunId
from libs.common.ledger.model import FileVersion, KnownVersion, digest_of
from libs.common.ledger.states import LIVE_FILE_STATES, FileState
from libs.common.selection.select import Selection, select

RUN, OTHER = RunId(UUID(int=1)), RunId(UUID(int=2))
FILES = st.builds(
    lambda key, etag: FileVersion("b", key, etag, 1, datetime(2025, 1, 7, tzinfo=UTC)),
    st.sampled_from(["a", "b", "c", "_d", "e//f"]),
    st.sampled_from(["v1", "v2", "v3"]),
)
Known = Mapping[bytes, Sequence[KnownVersion]]


@st.composite
def ledgers(draw: st.DrawFn) -> dict[bytes, list[KnownVersion]]:
    """Any history of each key; at most one version is live, as Postgres sees to."""
    known: dict[bytes, list[KnownVersion]] = {}
    for key in ("a", "b", "c", "_d", "e//f"):
        versions: list[KnownVersion] = []
        for etag in draw(st.sets(st.sampled_from(["v1", "v2", "v3"]))):
            state = draw(st.sampled_from(sorted(FileState)))
            if state in LIVE_FILE_STATES and any(v.state in LIVE_FILE_STATES for v in versions):
                continue
            given_up = state is FileState.DISCOVERED and draw(st.booleans())
            versions.append(KnownVersion(f"{etag}:1", state, draw(st.sampled_from([RUN, OTHER])), given_up))
        if versions:
            known[digest_of("b", key)] = versions
    return known


def after(known: Known, found: Selection) -> dict[bytes, list[KnownVersion]]:
    """The ledger once the page is recorded: what ``ScanLedger.record`` does."""
    result = {digest: list(versions) for digest, versions in known.items()}

    def put(f: FileVersion, state: FileState) -> None:
        versions = [v for v in result.get(f.digest, []) if v.version_tag != f.version_tag]
        result[f.digest] = [*versions, KnownVersion(f.version_tag, state, RUN)]

    for digest in found.superseded:
        result[digest] = [
            replace(v, state=FileState.SUPERSEDED) if v.state is FileState.DISCOVERED else v for v in result[digest]
        ]
    for f in found.taken:
        put(f, FileState.DISCOVERED)
    for refusal in found.refused:
        put(refusal.file, FileState.FAILED)
    return result


@given(st.lists(FILES, max_size=8), ledgers())
def test_each_key_is_at_most_once_in_work(files: list[FileVersion], known: Known) -> None:
    """However often a page names it."""
    found = select(files, known, RUN)
    in_work = [f.digest for f in (*found.taken, *found.resumed, *(r.file for r in found.refused))]
    assert sorted(set(in_work)) == sorted(in_work)
    assert set(found.superseded) <= {f.digest for f in found.taken}


@given(st.lists(FILES, max_size=8), ledgers())
def test_nothing_is_lost(files: list[FileVersion], known: Known) -> None:
    """Each key is in work, or counted, or this run's own already."""
    found = select(files, known, RUN)
    in_work = {f.digest for f in (*found.taken, *found.resumed, *(r.file for r in found.refused))}
    others = {f.digest for f in files} - in_work
    own = {d for d in others if any(v.run_id == RUN for v in known[d])}
    assert len(others - own) <= found.skipped <= len(others)
    assert set(files) >= set(found.taken) | set(found.resumed)


@given(st.lists(FILES, max_size=8), ledgers())
def test_a_loaded_file_is_never_taken_again(files: list[FileVersion], known: Known) -> None:
    """Nor is one that is in a batch, in whatever version it is there now."""
    found = select(files, known, RUN)
    busy = {
        digest
        for digest, versions in known.items()
        if any(v.state in LIVE_FILE_STATES - {FileState.DISCOVERED} for v in versions)
    }
    assert busy.isdisjoint(f.digest for f in (*found.taken, *found.resumed, *(r.file for r in found.refused)))


@given(st.lists(FILES, max_size=8), ledgers())
def test_a_second_look_finds_the_same_work_and_nothing_new(files: list[FileVersion], known: Known) -> None:
    """A listing that is begun again, after a crash right behind the page."""
    first = select(files, known, RUN)
    recorded = after(known, first)
    second = select(files, recorded, RUN)
    assert ((), (), ()) == (second.taken, second.superseded, second.refused)
    assert {*first.taken, *first.resumed} == set(second.resumed)
    assert first.skipped == second.skipped
    live = [[v for v in versions if v.state in LIVE_FILE_STATES] for versions in recorded.values()]
    assert all(len(versions) <= 1 for versions in live)
