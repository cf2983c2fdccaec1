"""Files whose rows are in the table already, on their way into it again: a reload.

Until the batch that replaces them is published, nothing in ``ledger.file`` changes: those rows are there, and the
ledger says so (I4). What shall take their place waits in ``ledger.replacement``, a key in one batch at most (I1), and
changes places with it in the transaction that finalises the batch. A batch that is burned, cancelled or outlived by a
refresh leaves the table and ``ledger.file`` as they were.

The functions run inside the transactions of ``planned.py``, ``batches.py`` and ``cancellations.py``. What a scanner
asks of loaded keys is in ``overwritten.py``.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    LargeBinary,
    Row,
    Table,
    TableValuedAlias,
    and_,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem
from libs.common.errors import Fenced
from libs.common.ids import BatchId
from libs.common.ledger.arrays import rows_of
from libs.common.ledger.model.batches import BatchClaim, PlannedBatch
from libs.common.ledger.model.files import FileVersion, Loaded
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.quarantine import are_of
from libs.common.ledger.states import LIVE_FILE_STATES, LOADED_FILE_STATES, UNDECIDED_FILE_STATES, FileState
from libs.common.ledger.tables import file, quarantined, replacement, storable

ON_THE_WAY = replacement.c.state == FileState.BATCHED
_TOLD = (
    "ingestion_id",
    "generation",
    "run_id",
    "key_digest",
    "version_tag",
    "bucket",
    "key",
    "etag",
    "size_bytes",
    "last_modified",
    "state",
    "error_type",
    "error_message",
)
"""What ``ledger.file`` says of a version that failed."""


async def plan(connection: AsyncConnection, claim: ScanClaim | BatchClaim, planned: PlannedBatch) -> None:
    """Puts the files on their way in a new batch.

    Raises:
        Fenced: a key has no rows in the table, another batch is replacing them, or one is adding to them.
    """
    digests = [f.digest for f in planned.files]
    loaded = await hold_loaded(connection, claim, digests)
    in_work = exists().where(of_keys(claim, file, digests), file.c.state.in_(UNDECIDED_FILE_STATES))
    if loaded != set(digests) or await connection.scalar(select(in_work)):
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
            ON_THE_WAY,
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
        .where(replacement.c.batch_id == batch_id, ON_THE_WAY)
        .order_by(replacement.c.key.collate("C"))
    )
    return tuple(FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in rows)


async def loaded(connection: AsyncConnection, claim: BatchClaim) -> dict[bytes, Loaded]:
    """What the table should hold of the batch's keys now, by digest."""
    digests = await connection.scalars(
        select(replacement.c.key_digest).where(replacement.c.batch_id == claim.id, ON_THE_WAY)
    )
    rows = await connection.execute(
        select(file, func.coalesce(quarantined.c.origin, quarantined.c.batch_id).label("bad_from"))
        .outerjoin(quarantined, are_of(file))
        .where(of_keys(claim, file, digests.all()), file.c.state.in_(LOADED_FILE_STATES))
        .order_by(file.c.key_digest, file.c.version_tag)
    )
    by_key: dict[bytes, list[Row[Any]]] = {}
    for r in rows:
        by_key.setdefault(bytes(r.key_digest), []).append(r)
    return {digest: _loaded(versions) for digest, versions in by_key.items()}


def _loaded(versions: Sequence[Row[Any]]) -> Loaded:
    # The rows of a baseline are in the table of an older generation.
    counts = [0 if r.state == FileState.BASELINE else r.row_count for r in versions]
    files = tuple(FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in versions)
    bad_from = tuple(BatchId(r.bad_from) for r in versions if r.bad_from is not None)
    return Loaded(files, None if None in counts else sum(counts), bad_from)


async def count_rows(connection: AsyncConnection, claim: BatchClaim, rows_by_file: Mapping[bytes, int]) -> None:
    """Keeps what the audit of the staged rows counted."""
    counted = rows_of("counted", {"digest": LargeBinary(), "rows": BigInteger()}, rows_by_file.items())
    await connection.execute(
        update(replacement)
        .where(replacement.c.batch_id == claim.id, ON_THE_WAY, replacement.c.key_digest == counted.c.digest)
        .values(row_count=counted.c.rows)
    )


async def commit(connection: AsyncConnection, claim: BatchClaim) -> None:
    """The batch is published: what was on its way is committed, and what it replaced, in whatever versions, is
    superseded."""
    arrived = (
        await connection.execute(
            update(replacement)
            .where(replacement.c.batch_id == claim.id, ON_THE_WAY)
            .values(state=FileState.COMMITTED, updated_at=func.now())
            .returning(replacement)
        )
    ).all()
    await connection.execute(
        update(file)
        .where(
            of_keys(claim, file, [r.key_digest for r in arrived]),
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
            set_={
                **{name: statement.excluded[name] for name in replaced},
                "overwritten": False,
                "updated_at": func.now(),
            },
        ),
        [{**there, **told, **{name: getattr(r, name) for name in kept}} for r in arrived],
    )


async def let_go(connection: AsyncConnection, batch_ids: Sequence[UUID], problem: Problem) -> None:
    """The files of these batches are not on their way any more, for a reason that lies in none of them."""
    await connection.execute(
        update(replacement)
        .where(replacement.c.batch_id == func.any(list(batch_ids)), ON_THE_WAY)
        .values(
            state=FileState.DISCOVERED,
            row_count=None,
            error_type=problem.error_type,
            error_message=problem.message,
            updated_at=func.now(),
        )
    )


async def apply(connection: AsyncConnection, claim: BatchClaim, fates: TableValuedAlias) -> None:
    """The ends of files that did not arrive: ``digest``, ``state``, ``error_type`` and ``error_message``. A version
    that failed for what it holds is told beside the one that is loaded: no run tries it again by itself."""
    await connection.execute(
        update(replacement)
        .where(replacement.c.batch_id == claim.id, ON_THE_WAY, replacement.c.key_digest == fates.c.digest)
        .values(
            state=fates.c.state,
            row_count=None,
            error_type=fates.c.error_type,
            error_message=fates.c.error_message,
            updated_at=func.now(),
        )
    )
    failed = select(*(replacement.c[name] for name in _TOLD)).where(
        replacement.c.batch_id == claim.id,
        replacement.c.state == FileState.FAILED,
        replacement.c.key_digest.in_(select(fates.c.digest)),
    )
    statement = insert(file).from_select(list(_TOLD), failed)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["ingestion_id", "generation", "key_digest", "version_tag"],
            set_={
                **{name: statement.excluded[name] for name in ("state", "run_id", "error_type", "error_message")},
                "updated_at": func.now(),
            },
            where=file.c.state.not_in(LIVE_FILE_STATES),
        )
    )


async def hold_loaded(
    connection: AsyncConnection, claim: ScanClaim | BatchClaim, digests: Sequence[bytes]
) -> set[bytes]:
    """Which of these keys are loaded, their rows locked in one order for all."""
    rows = await connection.scalars(
        select(file.c.key_digest)
        .where(of_keys(claim, file, digests), file.c.state.in_(LOADED_FILE_STATES))
        .order_by(file.c.key_digest, file.c.version_tag)
        .with_for_update()
    )
    return {bytes(digest) for digest in rows}


def of_keys(claim: ScanClaim | BatchClaim, table: Table, digests: Sequence[bytes]) -> ColumnElement[bool]:
    """The ledger table's rows of these keys, in the claim's generation."""
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
