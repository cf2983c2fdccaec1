"""Files whose rows are in the table already, on their way into it again: a reload.

Until the batch that replaces them is published, nothing in ``ledger.file`` changes: those rows are there, and the
ledger says so (I4). What shall take their place waits in ``ledger.replacement``, a key in one batch at most (I1), and
changes places with it in the transaction that finalises the batch. A batch that is burned, cancelled or outlived by a
refresh leaves the table and ``ledger.file`` as they were.

The functions run inside the transactions of ``planned.py``, ``batches.py`` and ``cancellations.py``.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, bindparam, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem
from libs.common.errors import Fenced
from libs.common.ids import BatchId, RunId
from libs.common.ledger.model import BatchClaim, FileVersion, Loaded, PlannedBatch, Reload, ScanClaim
from libs.common.ledger.states import LOADED_FILE_STATES, FileState
from libs.common.ledger.tables import file, quarantined, replacement, storable

_ON_THE_WAY = replacement.c.state == FileState.BATCHED


async def plan(connection: AsyncConnection, claim: ScanClaim | BatchClaim, planned: PlannedBatch) -> None:
    """Puts the files on their way in a new batch.

    Raises:
        Fenced: a key has no rows in the table, or another batch is replacing them.
    """
    digests = [f.digest for f in planned.files]
    loaded = await connection.scalar(
        select(func.count()).select_from(file).where(_of(claim, file, digests), file.c.state.in_(LOADED_FILE_STATES))
    )
    if loaded != len(digests):
        raise Fenced(f"a file that batch {planned.id} would replace")
    try:
        await connection.execute(replacement.insert(), [_row(claim, planned.id, f) for f in planned.files])
    except IntegrityError as e:  # uq_replacement_live_key
        raise Fenced(f"a file that batch {planned.id} would replace") from e


async def carry_on(connection: AsyncConnection, planned: PlannedBatch, burned: BatchId) -> None:
    """Moves the files from a burned batch into the one that goes on with them.

    Raises:
        Fenced: a file is not on its way in ``burned`` any more.
    """
    moved = await connection.execute(
        update(replacement)
        .where(
            replacement.c.batch_id == burned,
            _ON_THE_WAY,
            replacement.c.key_digest == func.any([f.digest for f in planned.files]),
        )
        .values(batch_id=planned.id, row_count=None, updated_at=func.now())
    )
    if moved.rowcount != len(planned.files):
        raise Fenced(f"a file of batch {planned.id}")


async def files_of(connection: AsyncConnection, batch_id: BatchId) -> tuple[FileVersion, ...]:
    """What is on its way in a batch, in the order of the keys' bytes."""
    rows = await connection.execute(
        select(replacement)
        .where(replacement.c.batch_id == batch_id, _ON_THE_WAY)
        .order_by(replacement.c.key.collate("C"))
    )
    return tuple(FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in rows)


async def loaded(connection: AsyncConnection, claim: BatchClaim) -> dict[bytes, Loaded]:
    """What the table should hold of the batch's keys now, by digest."""
    digests = await connection.scalars(
        select(replacement.c.key_digest).where(replacement.c.batch_id == claim.id, _ON_THE_WAY)
    )
    rows = await connection.execute(
        select(file, func.coalesce(quarantined.c.origin, quarantined.c.batch_id).label("bad_from"))
        .outerjoin(
            quarantined,
            and_(quarantined.c.batch_id == file.c.batch_id, quarantined.c.key_digest == file.c.key_digest),
        )
        .where(_of(claim, file, digests.all()), file.c.state.in_(LOADED_FILE_STATES))
    )
    return {
        bytes(r.key_digest): Loaded(
            FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified),
            # The rows of a baseline are in the table of an older generation.
            0 if r.state == FileState.BASELINE else r.row_count,
            None if r.bad_from is None else BatchId(r.bad_from),
        )
        for r in rows
    }


async def count_rows(connection: AsyncConnection, claim: BatchClaim, rows_by_file: Mapping[bytes, int]) -> None:
    """Keeps what the audit of the staged rows counted."""
    await connection.execute(
        update(replacement)
        .where(replacement.c.batch_id == claim.id, _ON_THE_WAY, replacement.c.key_digest == bindparam("digest"))
        .values(row_count=bindparam("rows")),
        [{"digest": digest, "rows": rows} for digest, rows in rows_by_file.items()],
    )


async def commit(connection: AsyncConnection, claim: BatchClaim) -> None:
    """The batch is published: what was on its way is committed, and what it replaced is superseded."""
    arrived = (
        await connection.execute(
            update(replacement)
            .where(replacement.c.batch_id == claim.id, _ON_THE_WAY)
            .values(state=FileState.COMMITTED, updated_at=func.now())
            .returning(replacement)
        )
    ).all()
    await connection.execute(
        update(file)
        .where(
            _of(claim, file, [r.key_digest for r in arrived]),
            file.c.state.in_(LOADED_FILE_STATES),
            # Not the version that arrives, which may be the one that is there.
            exists().where(
                replacement.c.batch_id == claim.id,
                replacement.c.key_digest == file.c.key_digest,
                replacement.c.version_tag != file.c.version_tag,
            ),
        )
        .values(state=FileState.SUPERSEDED, updated_at=func.now())
    )
    kept = ("key_digest", "version_tag", "bucket", "key", "etag", "size_bytes", "last_modified", "state", "row_count")
    there = {"ingestion_id": claim.ingestion_id, "generation": claim.generation}
    told = {"run_id": claim.run_id, "batch_id": claim.id, "error_type": None, "error_message": None}
    statement = insert(file)
    replaced = ("state", "run_id", "batch_id", "row_count", "last_modified", "error_type", "error_message")
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["ingestion_id", "generation", "key_digest", "version_tag"],
            set_={**{name: statement.excluded[name] for name in replaced}, "updated_at": func.now()},
        ),
        [{**there, **told, **{name: getattr(r, name) for name in kept}} for r in arrived],
    )


async def let_go(connection: AsyncConnection, batch_ids: Sequence[UUID], problem: Problem) -> None:
    """The files of these batches are not on their way any more, for a reason that lies in none of them."""
    await connection.execute(
        update(replacement)
        .where(replacement.c.batch_id == func.any(list(batch_ids)), _ON_THE_WAY)
        .values(
            state=FileState.DISCOVERED,
            row_count=None,
            error_type=problem.error_type,
            error_message=problem.message,
            updated_at=func.now(),
        )
    )


async def apply(connection: AsyncConnection, claim: BatchClaim, fates: Sequence[Mapping[str, Any]]) -> None:
    """The ends of files that did not arrive: ``digest``, ``fate``, ``word`` and ``words``."""
    await connection.execute(
        update(replacement)
        .where(replacement.c.batch_id == claim.id, _ON_THE_WAY, replacement.c.key_digest == bindparam("digest"))
        .values(
            state=bindparam("fate"),
            row_count=None,
            error_type=bindparam("word"),
            error_message=bindparam("words"),
            updated_at=func.now(),
        ),
        fates,
    )


async def reloads(connection: AsyncConnection, claim: ScanClaim, digests: Sequence[bytes]) -> dict[bytes, Reload]:
    """What is being reloaded of these keys, or was in the claim's own run; others are absent."""
    rows = await connection.execute(
        select(replacement.c.key_digest, replacement.c.run_id, replacement.c.state)
        .where(_of(claim, replacement, digests), or_(replacement.c.run_id == claim.run_id, _ON_THE_WAY))
        .order_by(_ON_THE_WAY)
    )
    return {bytes(r.key_digest): Reload(RunId(r.run_id), FileState(r.state)) for r in rows}


def _of(claim: ScanClaim | BatchClaim, table: Table, digests: Sequence[bytes]) -> ColumnElement[bool]:
    """The table's rows of these keys, in the claim's generation."""
    return and_(
        table.c.ingestion_id == claim.ingestion_id,
        table.c.generation == claim.generation,
        table.c.key_digest == func.any(list(digests)),
    )


def _row(claim: ScanClaim | BatchClaim, batch_id: BatchId, version: FileVersion) -> dict[str, Any]:
    return {
        "batch_id": batch_id,
        "ingestion_id": claim.ingestion_id,
        "generation": claim.generation,
        "run_id": claim.run_id,
        "key_digest": version.digest,
        "version_tag": version.version_tag,
        "bucket": version.bucket,
        "key": storable(version.key),
        "etag": version.etag,
        "size_bytes": version.size_bytes,
        "last_modified": version.last_modified,
        "state": FileState.BATCHED,
    }
