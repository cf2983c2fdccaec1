"""The ledger's rows of files, read for clients."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.states import FileState
from libs.common.ledger.tables import batch, file
from services.api.files.schemas import FileOut
from services.api.pages import Page

_SHOWN = select(file, batch.c.snapshot_id).outerjoin(batch, batch.c.id == file.c.batch_id)


async def page(
    connection: AsyncConnection,
    ingestion_id: UUID,
    generation: int,
    page: Page,
    *,
    state: FileState | None,
    prefix: str | None,
    run_id: UUID | None,
) -> tuple[list[FileOut], int]:
    """The file versions of one generation that all given filters let through, newest first, and how many there are."""
    wanted: list[ColumnElement[bool]] = [file.c.ingestion_id == ingestion_id, file.c.generation == generation]
    if state is not None:
        wanted.append(file.c.state == state.value)
    if prefix:
        wanted.append(func.starts_with(file.c.key, prefix))
    if run_id is not None:
        wanted.append(file.c.run_id == run_id)
    total = await connection.scalar(select(func.count()).select_from(file).where(*wanted))
    newest_first = _SHOWN.where(*wanted).order_by(file.c.discovered_at.desc(), file.c.key.collate("C"))
    rows = (await connection.execute(newest_first.limit(page.limit).offset(page.offset))).all()
    return [_shown(row) for row in rows], total or 0


async def versions(connection: AsyncConnection, ingestion_id: UUID, generation: int, digest: bytes) -> list[FileOut]:
    """All versions of one key, newest first."""
    query = _SHOWN.where(
        file.c.ingestion_id == ingestion_id, file.c.generation == generation, file.c.key_digest == digest
    )
    rows: Sequence[Row[Any]] = (await connection.execute(query.order_by(file.c.discovered_at.desc()))).all()
    return [_shown(row) for row in rows]


def _shown(row: Row[Any]) -> FileOut:
    is_in_the_table = row.state == FileState.COMMITTED
    return FileOut(
        uri=f"s3://{row.bucket}/{row.key}",
        key=row.key,
        version=row.version_tag,
        size_bytes=row.size_bytes,
        last_modified=row.last_modified,
        state=FileState(row.state),
        run_id=row.run_id,
        batch_id=row.batch_id,
        snapshot_id=row.snapshot_id if is_in_the_table else None,
        records=row.row_count if is_in_the_table else None,
        error_type=row.error_type,
        error=row.error_message,
        first_seen_at=row.discovered_at,
        changed_at=row.updated_at,
    )
