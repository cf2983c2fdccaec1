"""Which listed objects are new to the ledger. The truth is the set of (key, version); time and order are hints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from libs.common.contracts.definition import OverwritePolicy
from libs.common.contracts.events import Problem
from libs.common.ids import RunId
from libs.common.ledger.model.files import FileVersion, Refusal, Reload, last_of_each
from libs.common.selection.names import unreadable
from libs.common.selection.overwrites import refusal_of
from libs.common.selection.standing import KeyStanding, Known


@dataclass(frozen=True, slots=True)
class Selection:
    """What a page of matching objects is to this run.

    ``taken`` are new to it; ``resumed`` were taken earlier in this very run, and wait for a batch; ``superseded`` are
    digests whose older version nobody has read yet; ``refused`` cannot be read as they are named, or overwrote what is
    loaded; ``skipped`` counts what the ledger has already; ``reloaded`` are loaded, in this version or an earlier one,
    and shall be loaded in the place of those rows; ``beside`` are digests of taken files whose loaded rows stay;
    ``left`` overwrote what is loaded, are not loaded, and are to be remembered; ``passed_over`` are digests of keys in
    work, in another version than the one that is there now, which no one has seen then. No key is in work twice.
    """

    taken: tuple[FileVersion, ...] = ()
    resumed: tuple[FileVersion, ...] = ()
    superseded: tuple[bytes, ...] = ()
    refused: tuple[Refusal, ...] = ()
    skipped: int = 0
    reloaded: tuple[FileVersion, ...] = ()
    beside: tuple[bytes, ...] = ()
    left: tuple[FileVersion, ...] = ()
    passed_over: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run may do with keys that the ledger knows.

    ``overwrites``: with loaded files that were overwritten. ``retry_of``: it takes only what that run did not load,
    in any version. ``again``: it is a reload: what is loaded is open too, and so is what failed; ``failed_only``: and
    nothing but what could not be loaded.
    """

    overwrites: OverwritePolicy = "skip"
    retry_of: RunId | None = None
    again: bool = False
    failed_only: bool = False

    @property
    def pass_settled_over(self) -> bool:
        """Whether keys that are settled count as skipped, and need no look at what else the ledger has of them."""
        return self.retry_of is None and not self.again


AS_USUAL = Terms()


@dataclass(slots=True)
class _Draft:
    taken: list[FileVersion] = field(default_factory=list)
    resumed: list[FileVersion] = field(default_factory=list)
    superseded: list[bytes] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    skipped: int = 0
    reloaded: list[FileVersion] = field(default_factory=list)
    beside: list[bytes] = field(default_factory=list)
    left: list[FileVersion] = field(default_factory=list)
    passed_over: list[bytes] = field(default_factory=list)

    def frozen(self) -> Selection:
        return Selection(
            tuple(self.taken),
            tuple(self.resumed),
            tuple(self.superseded),
            tuple(self.refused),
            self.skipped,
            tuple(self.reloaded),
            tuple(self.beside),
            tuple(self.left),
            tuple(self.passed_over),
        )


def select(
    files: Sequence[FileVersion],
    known: Mapping[bytes, Known],
    run_id: RunId,
    terms: Terms = AS_USUAL,
    reloads: Mapping[bytes, Reload] | None = None,
) -> Selection:
    """Sorts a page. A key that is in work is left alone, whatever version it has now; so is a version that is loaded.
    Another version of a loaded key is treated as ``terms.overwrites`` says; a key that failed, went missing or was
    never read is open to a new version. Of a key that a page names twice, the later entry is the truth.

    ``reloads``: which of the keys are being replaced, or were by this run or the one that it retries.
    """
    draft = _Draft()
    for digest, f in last_of_each(files).items():
        key = KeyStanding(f, known.get(digest, ()), run_id, (reloads or {}).get(digest))
        if terms.retry_of is not None and not key.was_left_by(terms.retry_of):
            continue
        if terms.again and terms.failed_only and not key.has_failed:
            continue
        _sort(key, terms, draft)
    return draft.frozen()


def open_to_replacement(
    files: Sequence[FileVersion], known: Mapping[bytes, Known], terms: Terms
) -> Sequence[FileVersion]:
    """Those of a page of which a run has to know what is being done to their rows (``reloads`` of ``select``)."""
    keys = [KeyStanding(f, known[f.digest]) for f in files if f.digest in known]
    return [key.file for key in keys if key.is_loaded and (terms.again or not key.is_this_version_loaded)]


def _sort(key: KeyStanding, terms: Terms, draft: _Draft) -> None:
    if key.busy is not None:
        # Batched by an earlier attempt of this run: not skipped, just further along.
        draft.skipped += 0 if key.is_mine(key.busy) else 1
        if key.busy.version_tag != key.file.version_tag:
            draft.passed_over.append(key.file.digest)
    elif key.is_loaded and terms.again:
        _replace(key, draft)
    elif (same := key.same) is not None and key.is_this_version_loaded:
        draft.skipped += 0 if key.is_mine(same) else 1
    elif key.is_loaded:
        _sort_overwritten(key, terms, draft)
    else:
        _take(key, terms, draft)


def _sort_overwritten(key: KeyStanding, terms: Terms, draft: _Draft) -> None:
    """Of a key that is loaded in another version than the one that is there now."""
    if key.is_being_replaced:
        _replace(key, draft)
        return
    match terms.overwrites:
        case "skip":
            draft.skipped += 0 if key.has_mine_loaded else 1
            if not key.is_remembered:
                draft.left.append(key.file)
        case "append":
            if _take(key, terms, draft):
                draft.beside.append(key.file.digest)
        case "replace" if key.stays_failed(terms.retry_of, opens_failed=False):
            draft.skipped += 0 if key.has_mine_failed else 1
        case "replace":
            _replace(key, draft)
        case "fail" if not key.has_mine_failed:
            draft.refused.append(Refusal(key.file, refusal_of(key.file)))


def _replace(key: KeyStanding, draft: _Draft) -> None:
    """Its rows shall give way to those of the version that is there now; once at a time, and once in a run."""
    if key.reload is not None and (key.is_being_replaced or key.reload.run_id == key.run_id):
        draft.skipped += 0 if key.reload.run_id == key.run_id else 1
        # Which version is on its way is not known here.
        if key.is_being_replaced and key.reload.run_id != key.run_id:
            draft.passed_over.append(key.file.digest)
        return
    draft.reloaded.append(key.file)
    if key.waiting is not None:
        # Found as one to be added, and never batched: the policy was another one then.
        if key.waiting.version_tag == key.file.version_tag:
            draft.left.append(key.file)
        else:
            draft.superseded.append(key.file.digest)


def _take(key: KeyStanding, terms: Terms, draft: _Draft) -> bool:
    """Sorts a file that may be loaded; whether it is new to the run."""
    f, waiting = key.file, key.waiting
    if waiting is not None and waiting.version_tag != f.version_tag:
        draft.superseded.append(f.digest)
    elif waiting is not None and key.is_mine(waiting) and not waiting.given_up:
        draft.resumed.append(f)
        return False
    elif waiting is None and key.stays_failed(terms.retry_of, opens_failed=terms.again):
        draft.skipped += 0 if key.has_mine_failed else 1
        return False
    elif waiting is None and (reason := unreadable(f.key)) is not None:
        draft.refused.append(Refusal(f, _unreadable(f, reason)))
        return False
    draft.taken.append(f)
    return True


def _unreadable(f: FileVersion, reason: str) -> Problem:
    return Problem(
        error_type="unreadable_key",
        message=f"{f.uri} cannot be read under this name: {reason}",
        hint="rename the object, or leave it out with source.file_pattern",
        file=f.uri,
    )
