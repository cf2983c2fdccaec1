"""Which listed objects are new to the ledger. The truth is the set of (key, version); time and order are hints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from libs.common.contracts.events import Problem
from libs.common.ids import RunId
from libs.common.ledger.model import FileVersion, KnownVersion, Refusal
from libs.common.ledger.states import LIVE_FILE_STATES, FileState
from libs.common.selection.names import unreadable

_NOT_LOADED = frozenset({FileState.FAILED, FileState.MISSING, FileState.DISCOVERED})


@dataclass(frozen=True, slots=True)
class Selection:
    """What a page of matching objects is to this run.

    ``taken`` are new to it; ``resumed`` were taken earlier in this very run, and wait for a batch; ``superseded`` are
    digests whose older version nobody has read yet; ``refused`` cannot be read as they are named; ``skipped`` counts
    what the ledger has already. No key is in it twice.
    """

    taken: tuple[FileVersion, ...] = ()
    resumed: tuple[FileVersion, ...] = ()
    superseded: tuple[bytes, ...] = ()
    refused: tuple[Refusal, ...] = ()
    skipped: int = 0


@dataclass(slots=True)
class _Draft:
    taken: list[FileVersion] = field(default_factory=list)
    resumed: list[FileVersion] = field(default_factory=list)
    superseded: list[bytes] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    skipped: int = 0


def select(
    files: Sequence[FileVersion],
    known: Mapping[bytes, Sequence[KnownVersion]],
    run_id: RunId,
    *,
    retry_of: RunId | None = None,
) -> Selection:
    """Sorts a page. A key that is in work or loaded is left alone, whatever version it has now
    (``allow_overwrites: skip``); a key that failed, went missing or was never read is open to a new version. Of a key
    that a page names twice, the later entry is the truth.

    With ``retry_of``, only keys count that were that run's and that it did not load; those are open in any version.
    """
    draft = _Draft()
    for digest, f in {f.digest: f for f in files}.items():
        versions = known.get(digest, ())
        if retry_of is None or _is_to_be_retried(versions, run_id, retry_of):
            _sort(f, versions, run_id, retry_of, draft)
    return Selection(
        tuple(draft.taken), tuple(draft.resumed), tuple(draft.superseded), tuple(draft.refused), draft.skipped
    )


def _is_to_be_retried(versions: Sequence[KnownVersion], run_id: RunId, retry_of: RunId) -> bool:
    """What an earlier attempt of the retry itself has taken still is."""
    return any(v.run_id == run_id or (v.run_id == retry_of and v.state in _NOT_LOADED) for v in versions)


def _sort(
    f: FileVersion, versions: Sequence[KnownVersion], run_id: RunId, retry_of: RunId | None, draft: _Draft
) -> None:
    live = next((v for v in versions if v.state in LIVE_FILE_STATES), None)
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
    elif same is not None and same.state is FileState.FAILED and same.run_id != retry_of:
        draft.skipped += 0 if same.run_id == run_id else 1
    elif (reason := unreadable(f.key)) is not None:
        draft.refused.append(Refusal(f, _refusal(f, reason)))
    else:
        draft.taken.append(f)


def _refusal(f: FileVersion, reason: str) -> Problem:
    return Problem(
        error_type="unreadable_key",
        message=f"{f.uri} cannot be read under this name: {reason}",
        hint="rename the object, or leave it out with source.file_pattern",
        file=f.uri,
    )
