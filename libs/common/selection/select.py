"""Which listed objects are new to the ledger. The truth is the set of (key, version); time and order are hints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from libs.common.contracts.events import Problem
from libs.common.ids import RunId
from libs.common.ledger.model import FileVersion, KnownVersion, Refusal, Reload
from libs.common.ledger.states import LIVE_FILE_STATES, LOADED_FILE_STATES, FileState
from libs.common.selection.names import unreadable

_NOT_LOADED = frozenset({FileState.FAILED, FileState.MISSING, FileState.DISCOVERED})


@dataclass(frozen=True, slots=True)
class Selection:
    """What a page of matching objects is to this run.

    ``taken`` are new to it; ``resumed`` were taken earlier in this very run, and wait for a batch; ``superseded`` are
    digests whose older version nobody has read yet; ``refused`` cannot be read as they are named; ``skipped`` counts
    what the ledger has already; ``reloaded`` are loaded, and shall be loaded again in the place of their rows. No
    key is in it twice.
    """

    taken: tuple[FileVersion, ...] = ()
    resumed: tuple[FileVersion, ...] = ()
    superseded: tuple[bytes, ...] = ()
    refused: tuple[Refusal, ...] = ()
    skipped: int = 0
    reloaded: tuple[FileVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """What a reload is told: which of the page's keys are being reloaded already, or were in this very run, and
    whether it reads only what could not be loaded."""

    reloads: Mapping[bytes, Reload]
    failed_only: bool = False


@dataclass(slots=True)
class _Draft:
    taken: list[FileVersion] = field(default_factory=list)
    resumed: list[FileVersion] = field(default_factory=list)
    superseded: list[bytes] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    skipped: int = 0
    reloaded: list[FileVersion] = field(default_factory=list)


def select(
    files: Sequence[FileVersion],
    known: Mapping[bytes, Sequence[KnownVersion]],
    run_id: RunId,
    *,
    retry_of: RunId | None = None,
    again: Again | None = None,
) -> Selection:
    """Sorts a page. A key that is in work or loaded is left alone, whatever version it has now
    (``allow_overwrites: skip``); a key that failed, went missing or was never read is open to a new version. Of a key
    that a page names twice, the later entry is the truth.

    With ``retry_of``, only keys count that were that run's and that it did not load; those are open in any version.
    With ``again``, what is loaded is open too, and so is what failed.
    """
    draft = _Draft()
    for digest, f in {f.digest: f for f in files}.items():
        versions = known.get(digest, ())
        if retry_of is not None and not _is_to_be_retried(versions, run_id, retry_of):
            continue
        if again is not None and again.failed_only and not _has_failed(versions, run_id):
            continue
        if again is not None and (live := _live(versions)) is not None and live.state in LOADED_FILE_STATES:
            _sort_loaded(f, again.reloads.get(digest), run_id, draft)
        else:
            _sort(f, versions, run_id, draft, retry_of=retry_of, opens_failed=again is not None)
    return Selection(
        tuple(draft.taken),
        tuple(draft.resumed),
        tuple(draft.superseded),
        tuple(draft.refused),
        draft.skipped,
        tuple(draft.reloaded),
    )


def _live(versions: Sequence[KnownVersion]) -> KnownVersion | None:
    return next((v for v in versions if v.state in LIVE_FILE_STATES), None)


def _has_failed(versions: Sequence[KnownVersion], run_id: RunId) -> bool:
    """And nothing else became of it since, except in an earlier attempt of this very run."""
    if (live := _live(versions)) is not None:
        return live.run_id == run_id
    return any(v.state in (FileState.FAILED, FileState.MISSING) for v in versions)


def _sort_loaded(f: FileVersion, reload: Reload | None, run_id: RunId, draft: _Draft) -> None:
    if reload is None:
        draft.reloaded.append(f)
    elif reload.run_id != run_id:
        draft.skipped += 1


def _is_to_be_retried(versions: Sequence[KnownVersion], run_id: RunId, retry_of: RunId) -> bool:
    """What an earlier attempt of the retry itself has taken still is."""
    return any(v.run_id == run_id or (v.run_id == retry_of and v.state in _NOT_LOADED) for v in versions)


def _sort(
    f: FileVersion,
    versions: Sequence[KnownVersion],
    run_id: RunId,
    draft: _Draft,
    *,
    retry_of: RunId | None,
    opens_failed: bool,
) -> None:
    live = _live(versions)
    same = next((v for v in versions if v.version_tag == f.version_tag), None)
    if live is not None and (live.held or live.state is not FileState.DISCOVERED):
        # Batched by an earlier attempt of this run: not skipped, just further along.
        draft.skipped += 0 if live.run_id == run_id else 1
    elif live is not None and live.version_tag != f.version_tag:
        draft.superseded.append(f.digest)
        draft.taken.append(f)
    elif live is not None:
        waits = live.run_id == run_id and not live.given_up
        (draft.resumed if waits else draft.taken).append(f)
    elif same is not None and _stays_failed(same, run_id, retry_of, opens_failed=opens_failed):
        draft.skipped += 0 if same.run_id == run_id else 1
    elif (reason := unreadable(f.key)) is not None:
        draft.refused.append(Refusal(f, _refusal(f, reason)))
    else:
        draft.taken.append(f)


def _stays_failed(same: KnownVersion, run_id: RunId, retry_of: RunId | None, *, opens_failed: bool) -> bool:
    """Whether a version that failed is left as it is. What failed in this very run is."""
    if same.state is not FileState.FAILED or same.run_id == retry_of:
        return False
    return same.run_id == run_id or not opens_failed


def _refusal(f: FileVersion, reason: str) -> Problem:
    return Problem(
        error_type="unreadable_key",
        message=f"{f.uri} cannot be read under this name: {reason}",
        hint="rename the object, or leave it out with source.file_pattern",
        file=f.uri,
    )
