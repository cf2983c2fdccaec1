"""Whether a plan still says what is so: the files as they were planned, held against what is there now."""

from collections.abc import Iterable, Mapping, Sequence

from libs.common.ids import RunId
from libs.common.ledger.model import FileVersion, KnownVersion
from libs.common.ledger.states import LIVE_FILE_STATES, FileState

TOLD_MAX = 20


def changes(
    planned: Iterable[FileVersion],
    now: Mapping[str, FileVersion | None],
    known: Mapping[bytes, Sequence[KnownVersion]],
    run_id: RunId,
) -> list[str]:
    """What happened to these files since they were planned, one line for each to which something did. What the run
    has taken itself, in an earlier attempt, is no change."""
    return [f"{f.key} {what}" for f in planned if (what := _change(f, now.get(f.key), known.get(f.digest, ()), run_id))]


def told(changed: Sequence[str], files: int) -> str:
    """All of it as one sentence, the first ``TOLD_MAX`` by name."""
    more = len(changed) - TOLD_MAX
    names = "; ".join(changed[:TOLD_MAX]) + (f"; and {more:,} more" if more > 0 else "")
    return f"{len(changed):,} of the {files:,} files of the plan are not as they were planned: {names}"


def _change(f: FileVersion, now: FileVersion | None, versions: Sequence[KnownVersion], run_id: RunId) -> str | None:
    for known in versions:
        if known.run_id == run_id:
            return None
        if known.state in LIVE_FILE_STATES and (known.held or known.state is not FileState.DISCOVERED):
            is_in_work = known.held or known.state is FileState.BATCHED
            return f"is {'in work' if is_in_work else known.state} in run {known.run_id}"
    if now is None:
        return "is gone"
    if now.version_tag != f.version_tag:
        return "was overwritten"
    return None
