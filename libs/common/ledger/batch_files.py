"""The files of a batch in the ledger: which they are, what was counted of them, and what becomes of them.

Those of a batch that replaces rows stand in ``ledger.replacement`` meanwhile: see ``replacements.py``. The functions
run inside the transactions of ``batches.py``.
"""

from collections.abc import Mapping

from sqlalchemy import BigInteger, ColumnElement, LargeBinary, Text, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem
from libs.common.ledger import replacements
from libs.common.ledger.arrays import Columns, rows_of
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import file, storable

_FATES: Columns = {"digest": LargeBinary(), "state": Text(), "error_type": Text(), "error_message": Text()}


async def files_of(connection: AsyncConnection, claim: BatchClaim) -> tuple[FileVersion, ...]:
    """What is in the batch, in the order of the keys' bytes."""
    if claim.replaces_rows:
        return await replacements.files_of(connection, claim.id)
    rows = await connection.execute(
        select(file.c.bucket, file.c.key, file.c.etag, file.c.size_bytes, file.c.last_modified)
        .where(_in(claim))
        .order_by(file.c.key.collate("C"))
    )
    return tuple(FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in rows)


async def count_rows(connection: AsyncConnection, claim: BatchClaim, rows_by_file: Mapping[bytes, int]) -> None:
    """Keeps what the audit of the staged rows counted."""
    if claim.replaces_rows:
        await replacements.count_rows(connection, claim, rows_by_file)
        return
    counted = rows_of("counted", {"digest": LargeBinary(), "rows": BigInteger()}, rows_by_file.items())
    await connection.execute(
        update(file).where(_in(claim), file.c.key_digest == counted.c.digest).values(row_count=counted.c.rows)
    )


async def commit(connection: AsyncConnection, claim: BatchClaim) -> None:
    """The batch is published, and its files with it (I4)."""
    if claim.replaces_rows:
        await replacements.commit(connection, claim)
    else:
        await connection.execute(
            update(file).where(_in(claim)).values(state=FileState.COMMITTED, updated_at=func.now())
        )


async def apply(connection: AsyncConnection, claim: BatchClaim, verdict: BurnVerdict) -> tuple[FileVersion, ...]:
    """Moves the files that have a fate; returns those that have none. A file that fails for no reason of its own
    keeps the batch's: it tells the next scan that this one was given up."""
    rows = [_fate_row(digest, fate, verdict.problem) for digest, fate in verdict.fates.items()]
    fates = rows_of("fates", _FATES, rows)
    if rows and claim.replaces_rows:
        await replacements.apply(connection, claim, fates)
    elif rows:
        await connection.execute(
            update(file)
            .where(_in(claim), file.c.key_digest == fates.c.digest)
            .values(
                state=fates.c.state,
                batch_id=None,
                row_count=None,
                error_type=fates.c.error_type,
                error_message=fates.c.error_message,
                updated_at=func.now(),
            )
        )
    return await files_of(connection, claim)


def _in(claim: BatchClaim) -> ColumnElement[bool]:
    return and_(file.c.batch_id == claim.id, file.c.state == FileState.BATCHED)


def _fate_row(digest: bytes, fate: Fate, otherwise: Problem | None) -> tuple[bytes, str, str | None, str | None]:
    problem = fate.problem or otherwise
    if problem is None:
        return digest, fate.state, None, None
    return digest, fate.state, problem.error_type, storable(problem.message)
