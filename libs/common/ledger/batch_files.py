"""The files of a batch in the ledger: which they are, what was counted of them, and what becomes of them.

Those of a batch that replaces rows stand in ``ledger.replacement`` meanwhile: see ``replacements.py``. The functions
run inside the transactions of ``batches.py``.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem
from libs.common.ledger import replacements
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, Fate
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import file, storable


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
    await connection.execute(
        update(file).where(_in(claim), file.c.key_digest == bindparam("digest")).values(row_count=bindparam("rows")),
        [{"digest": digest, "rows": rows} for digest, rows in rows_by_file.items()],
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
    fates = [_fate_row(digest, fate, verdict.problem) for digest, fate in verdict.fates.items()]
    if fates and claim.replaces_rows:
        await replacements.apply(connection, claim, fates)
    elif fates:
        await connection.execute(
            update(file)
            .where(_in(claim), file.c.key_digest == bindparam("digest"))
            .values(
                state=bindparam("fate"),
                batch_id=None,
                row_count=None,
                error_type=bindparam("word"),
                error_message=bindparam("words"),
                updated_at=func.now(),
            ),
            fates,
        )
    return await files_of(connection, claim)


def _in(claim: BatchClaim) -> ColumnElement[bool]:
    return and_(file.c.batch_id == claim.id, file.c.state == FileState.BATCHED)


def _fate_row(digest: bytes, fate: Fate, otherwise: Problem | None) -> dict[str, Any]:
    problem = fate.problem or otherwise
    return {
        "digest": digest,
        "fate": fate.state,
        "word": problem.error_type if problem else None,
        "words": storable(problem.message) if problem else None,
    }
