"""Whether a plan still says what is so: the files as they were planned, held against what is there now."""

from collections.abc import Iterable, Mapping, Sequence

from libs.common.contracts.definition import LOADS_OVERWRITES, OverwritePolicy
from libs.common.ids import RunId
from libs.common.ledger.model.files import FileVersion, KnownVersion, Reload
from libs.common.ledger.states import LIVE_FILE_STATES, LOADED_FILE_STATES, FileState

TOLD_MAX = 20


def changes(
    planned: Iterable[FileVersion],
    now: Mapping[str, FileVersion | None],
    known: Mapping[bytes, Sequence[KnownVersion]],
    run_id: RunId,
    *,
    overwrites: OverwritePolicy = "skip",
    reloads: Mapping[bytes, Reload] | None = None,
) -> list[str]:
    """What happened to these files since they were planned, one line for each to which something did. What the run
    has taken itself, in an earlier attempt, is no change; nor is an earlier version that is loaded, where the plan is
    to load a later one. ``reloads``: whose rows are being replaced."""
    told = []
    for f in planned:
        versions, reload = known.get(f.digest, ()), (reloads or {}).get(f.digest)
        if (reload is not None and reload.run_id == run_id) or any(v.run_id == run_id for v in versions):
            continue
        if overwrites in LOADS_OVERWRITES:
            versions = [v for v in versions if v.version_tag == f.version_tag or v.state not in LOADED_FILE_STATES]
        if (what := _change(f, now.get(f.key), versions, reload)) is not None:
            told.append(f"{f.key} {what}")
    return told


def told(changed: Sequence[str], files: int) -> str:
    """All of it as one sentence, the first ``TOLD_MAX`` by name."""
    more = len(changed) - TOLD_MAX
    names = "; ".join(changed[:TOLD_MAX]) + (f"; and {more:,} more" if more > 0 else "")
    return f"{len(changed):,} of the {files:,} files of the plan are not as they were planned: {names}"


def _change(
    f: FileVersion, now: FileVersion | None, versions: Sequence[KnownVersion], reload: Reload | None
) -> str | None:
    if reload is not None and reload.state is FileState.BATCHED:
        return f"is in work in run {reload.run_id}"
    for known in versions:
        if known.state in LIVE_FILE_STATES and (known.held or known.state is not FileState.DISCOVERED):
            is_in_work = known.held or known.state is FileState.BATCHED
            return f"is {'in work' if is_in_work else known.state} in run {known.run_id}"
    if now is None:
        return "is gone"
    if now.version_tag != f.version_tag:
        return "was overwritten"
    return None
