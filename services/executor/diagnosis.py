"""What is told of files that spoil a batch: where the first bad record stands, and what does not fit."""

from collections.abc import Mapping

from libs.common.ledger.model.batches import Fate
from libs.common.ledger.states import FileState
from services.executor.attempt import Attempt
from services.executor.domain.schema_change import compare
from services.executor.staged_batch import StagedBatch

DIAGNOSES_MAX = 20
"""Bad files of one batch whose first bad line is looked up; each costs two reads of that file."""
_HAS_BAD_RECORDS = frozenset({"unparsable_file", "too_many_bad_records"})


async def explained(attempt: Attempt, batch: StagedBatch, fates: Mapping[bytes, Fate]) -> dict[bytes, Fate]:
    """The fates, with the first bad line of files that have one, and the field that does not fit."""
    table, told = attempt.table, dict(fates)
    bad = [f for f in attempt.files if f.digest in fates and has_bad_records(fates[f.digest])]
    for f in bad[:DIAGNOSES_MAX]:
        problem = fates[f.digest].problem
        assert problem is not None
        line = await table.first_bad_line(f, batch.schema)
        clashes = compare(batch.schema, await table.infer([f])).clashes
        columns = sorted(batch.staged.misfits.get(f.digest, ()))
        reason = (
            f"column {columns[0]!r} cannot hold its value" if columns else "no record that fits the table's columns"
        )
        reason = str(clashes[0]) if clashes else reason
        where = f"the first is line {line}: " if line else ""
        told[f.digest] = Fate(
            FileState.FAILED,
            problem.model_copy(update={"line": line, "message": f"{problem.message}; {where}{reason}"}),
        )
    return told


def has_bad_records(fate: Fate) -> bool:
    return fate.problem is not None and fate.problem.error_type in _HAS_BAD_RECORDS
