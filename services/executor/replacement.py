"""The copy of a table in which the rows of some files have given way to others: staged, and looked at before and after.

Iceberg publishes such a snapshot only onto the very one that it was staged on, so there is nothing to merge: whoever
commits in between, with another copy of the same batch, a burn, or data of their own, sends us back to stage again.
docs/adr/0013 has the proofs.
"""

from collections.abc import Mapping

from libs.common.errors import Temporary
from libs.common.schema import Struct
from services.executor.attempt import Attempt
from services.executor.domain import evidence
from services.executor.domain.replacing import check_column, check_rows, replaces_exactly
from services.executor.ports import Copy, Ledger
from services.executor.staged_batch import StagedBatch


async def check(ledger: Ledger, attempt: Attempt, schema: Struct) -> None:
    """Whether the rows of these files can be replaced, before anything is staged.

    Raises:
        Permanent: they cannot; see ``domain/replacing.py``.
    """
    table, files = attempt.table, attempt.files
    check_column(table.name, schema)
    check_rows(table.name, files, await ledger.loaded(attempt.claim), await table.file_rows([f.uri for f in files]))


async def stage_copy(
    ledger: Ledger, attempt: Attempt, batch: StagedBatch, rows_by_file: Mapping[bytes, int]
) -> Copy | None:
    """A staged copy with the batch's rows instead of the files' earlier ones, found good; None when somebody committed
    meanwhile.

    Raises:
        Permanent: as ``check``.
        Temporary: ``miscounted``: the copy is not what it should be.
    """
    claim, table, files = attempt.claim, attempt.table, attempt.files
    uris = [f.uri for f in files]
    loaded = await ledger.loaded(claim)
    before = await table.file_rows(uris)
    check_rows(table.name, files, loaded, before)
    told = {
        evidence.ROWS: str(sum(rows_by_file.values())),
        evidence.ROWS_REMOVED: str(before.of(files)),
        evidence.REPLACED: evidence.written(f for known in loaded.values() for f in known.files),
    }
    copy = await table.stage_replacement(batch.staged.snapshot_id, uris, claim.wap_id, {**batch.properties, **told})
    if copy.parent_id != before.snapshot_id:
        return None
    after = await table.file_rows(uris, copy.snapshot_id)
    if not replaces_exactly(files, rows_by_file, before, after):
        raise Temporary(
            f"the staged copy of {table.name} has {after.total:,} rows, and is not the table with the rows of "
            f"{len(files):,} files replaced",
            code="miscounted",
            hint="the batch is staged again",
        )
    return copy
