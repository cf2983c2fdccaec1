"""When ledger and table contradict each other, and what cannot be known any more.

Loading on would double rows, or bring back rows that somebody took away on purpose. So a person decides (I9).
"""

from collections.abc import Sequence

from libs.common.contracts.events import Problem
from libs.common.ledger.model.batches import BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState

LEDGER_BEHIND = "ledger_behind_table"
ROLLED_BACK = "table_rolled_back"
_NAMED_MAX = 3
_BLAMES_FILES = frozenset({"spark_failed", "spark_refused", "nested_too_deep", "too_many_attempts", "internal_error"})
"""Failures that one file of the batch may have caused, without a word of which."""


def contradiction(table: str, strangers: Sequence[str], rolled_back: Sequence[int]) -> Problem | None:
    """Why nothing may be loaded now; None if ledger and table agree. ``strangers`` are batches that the table has and
    the ledger has not, ``rolled_back`` published snapshots that left the table's ancestry."""
    if strangers:
        return Problem(
            error_type=LEDGER_BEHIND,
            message=f"{table} holds {_counted(len(strangers), 'batch', 'batches')} of this ingestion that the ledger "
            f"does not know ({_some(strangers)}): was the database restored from a backup? Loading on would load "
            "files twice",
            hint="autoloader rebuild-ledger brings the ledger up to the table, and lets loading go on",
        )
    if rolled_back:
        return Problem(
            error_type=ROLLED_BACK,
            message=f"{_counted(len(rolled_back), 'snapshot', 'snapshots')} that this ingestion published "
            f"({_some(rolled_back)}) left the history of {table}: was it rolled back?",
            hint="autoloader rebuild-ledger accepts the table as it is: the next run loads the files that are missing "
            "in it. Or set the table's current snapshot again, then POST .../resume",
        )
    return None


def unprovable(table: str, files: Sequence[FileVersion]) -> BurnVerdict:
    """For a batch that may have been published in a part of the table's history that is gone: its files are not
    loaded again by themselves."""
    return BurnVerdict(
        {
            f.digest: Fate(
                FileState.FAILED,
                Problem(
                    error_type="history_expired",
                    message=f"whether the rows of {f.uri} are in {table} cannot be told any more: its executor stopped "
                    "during the publish, and the snapshots of that time were expired or rolled back",
                    hint="look for the file's rows in the table; if they are missing, upload it again under the same "
                    "key. Keep snapshots for longer than the longest outage (expire_snapshots: older_than)",
                    file=f.uri,
                ),
            )
            for f in files
        }
    )


def giving_up(files: Sequence[FileVersion], problem: Problem) -> BurnVerdict:
    """What becomes of a batch that cannot be loaded. Where one file may be to blame, the batch is halved until that
    file is alone and named; the others are loaded. The file itself waits: the next run tries it again."""
    if problem.error_type in _BLAMES_FILES:
        if len(files) > 1:
            return BurnVerdict(parts=2)
        problem = problem.model_copy(update={"file": files[0].uri if files else None})
    return BurnVerdict({f.digest: Fate(FileState.DISCOVERED) for f in files}, problem)


def _some(ids: Sequence[object]) -> str:
    more = f", … {len(ids) - _NAMED_MAX} more" if len(ids) > _NAMED_MAX else ""
    return ", ".join(map(str, ids[:_NAMED_MAX])) + more


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
