"""Plans as they are stored: exactly which file versions somebody has seen and agreed to.

The API writes them whole, in one transaction; the run that applies one reads its files here, page by page. A plan is
never changed. It is forgotten after ``KEPT``, since what it says of the source gets old.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Integer, Table, Text, Uuid, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.model.files import FileVersion
from libs.common.storage.control import SCHEMA
from libs.common.storage.engine import Database
from libs.common.storage.metadata import metadata

KEPT = timedelta(hours=24)
PAGE = 1000

plan = Table(
    "plan",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), nullable=False),
    Column("kind", Text, nullable=False, comment="run, backfill, refresh_full or refresh_new_only"),
    Column("generation", Integer, nullable=False, comment="the ingestion's when it was made"),
    Column("definition_version", Integer, nullable=False, comment="the ingestion's when it was made"),
    Column("scope", JSONB, comment="contracts.scope.Scope"),
    Column("shown", JSONB, nullable=False, comment="the answer that was given, without its ids and times"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True),
    schema=SCHEMA,
)

plan_file = Table(
    "plan_file",
    metadata,
    Column("plan_id", Uuid, ForeignKey("control.plan.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True, comment="from 0, in the order of the listing"),
    Column("bucket", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("last_modified", DateTime(timezone=True), nullable=False),
    schema=SCHEMA,
)


async def page_of_files(connection: AsyncConnection, plan_id: UUID, *, offset: int, limit: int) -> list[FileVersion]:
    """The files of a plan in its order."""
    rows = await connection.execute(
        select(plan_file)
        .where(plan_file.c.plan_id == plan_id, plan_file.c.place >= offset, plan_file.c.place < offset + limit)
        .order_by(plan_file.c.place)
    )
    return [FileVersion(r.bucket, r.key, r.etag, r.size_bytes, r.last_modified) for r in rows]


class PlannedFiles:
    """Reads the files of plans, for runs that apply one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_there(self, plan_id: UUID) -> bool:
        """Whether it is not forgotten yet."""
        async with self._database.read() as connection:
            return await connection.scalar(select(plan.c.id).where(plan.c.id == plan_id)) is not None

    async def pages(self, plan_id: UUID) -> AsyncIterator[Sequence[FileVersion]]:
        """All files of a plan, ``PAGE`` at a time; nothing for a plan that is forgotten."""
        offset = 0
        while True:
            async with self._database.read() as connection:
                page = await page_of_files(connection, plan_id, offset=offset, limit=PAGE)
            if page:
                yield page
            if len(page) < PAGE:
                return
            offset += PAGE


def expires_at(created_at: datetime) -> datetime:
    """When a plan that was made then is forgotten."""
    return created_at + KEPT
