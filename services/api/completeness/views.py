"""What is said about a watermark, in words. Pure."""

from collections.abc import Sequence
from datetime import datetime

from libs.common.ledger.model.watermarks import Listed, Unfinished
from libs.common.ledger.states import FileState
from services.api.completeness.schemas import CompletenessOut, HeldOut, MissedOut

_WAITS = {
    FileState.DISCOVERED: "it was found, and waits for a batch",
    FileState.BATCHED: "a batch has it in work",
    FileState.MISSING: "it was gone when it was to be read",
    FileState.FAILED: "it could not be loaded",
}


def shown(
    known: Listed | None, oldest: Sequence[Unfinished], missed: Sequence[MissedOut], now: datetime
) -> CompletenessOut:
    """``oldest``: the unfinished files, oldest first, as many as are shown."""
    watermark = None if known is None else known.up_to
    return CompletenessOut(
        watermark=watermark,
        lag_s=None if watermark is None else max(0.0, (now - watermark).total_seconds()),
        listed_from=None if known is None else known.listed_from,
        held_by=[_held(each) for each in oldest],
        note=note(known, oldest),
        missed=list(missed),
    )


def note(known: Listed | None, oldest: Sequence[Unfinished]) -> str:
    """What the watermark waits for, and what to do."""
    if known is None:
        return "no listing of the whole source has come to its end yet: the first run makes one"
    if not oldest:
        return "nothing holds it back: it moves on with the next listing of the whole source"
    match oldest[0].state:
        case FileState.FAILED:
            return (
                "held back by a file that could not be loaded: repair it and upload it again, or leave it out with "
                "source.file_pattern"
            )
        case FileState.MISSING:
            return (
                "held back by a file that was gone when it was to be read: the next listing of the whole source "
                "settles that"
            )
        case _:
            return "held back by files that are on their way"


def _held(each: Unfinished) -> HeldOut:
    return HeldOut(
        file=each.file.uri,
        state=each.state,
        why=each.error or _WAITS[each.state],
        last_modified=each.file.last_modified,
        run_id=each.run_id,
    )
