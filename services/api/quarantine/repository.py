"""The ledger's bad records, read for clients."""

from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.quarantine import are_of
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import file, quarantined
from services.api.pages import Page
from services.api.quarantine.schemas import BadRecordOut, QuarantinedOut

# A file's are those of the batch that loaded it: what an earlier one set aside went with its rows.
_JOINED = file.join(quarantined, and_(quarantined.c.ingestion_id == file.c.ingestion_id, are_of(file)))


async def keys(connection: AsyncConnection, ingestion_id: UUID, generation: int, *, limit: int) -> list[str]:
    """The keys of files with bad records, in the order of their bytes."""
    query = (
        select(file.c.key)
        .select_from(_JOINED)
        .where(*_of(ingestion_id, generation))
        .order_by(file.c.key.collate("C"))
        .limit(limit)
    )
    return list(await connection.scalars(query))


async def page(
    connection: AsyncConnection, ingestion_id: UUID, generation: int, page: Page, *, table: str, uri: str | None
) -> tuple[list[QuarantinedOut], int]:
    """Files of one generation with bad records, newest first, and how many there are."""
    wanted = _of(ingestion_id, generation)
    if uri is not None:
        wanted.append("s3://" + file.c.bucket + "/" + file.c.key == uri)
    total = await connection.scalar(select(func.count()).select_from(_JOINED).where(*wanted))
    newest_first = (
        select(file, quarantined.c.records, quarantined.c.first, quarantined.c.origin)
        .select_from(_JOINED)
        .where(*wanted)
        .order_by(file.c.updated_at.desc(), file.c.key.collate("C"))
        .limit(page.limit)
        .offset(page.offset)
    )
    return [
        QuarantinedOut(
            file=f"s3://{row.bucket}/{row.key}",
            version=row.version_tag,
            table=table,
            run_id=row.run_id,
            batch_id=row.origin or row.batch_id,
            records_loaded=row.row_count,
            records_quarantined=row.records,
            first=[BadRecordOut.model_validate(each) for each in row.first],
            quarantined_at=row.updated_at,
        )
        for row in await connection.execute(newest_first)
    ], total or 0


def _of(ingestion_id: UUID, generation: int) -> list[ColumnElement[bool]]:
    return [
        file.c.ingestion_id == ingestion_id,
        file.c.generation == generation,
        file.c.state == FileState.COMMITTED.value,
        quarantined.c.records > 0,
    ]
