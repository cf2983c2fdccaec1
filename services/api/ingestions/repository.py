"""Rows of ingestions. Statements only; ``handlers.py`` decides."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, bindparam, delete, exists, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.definition import Definition, Source
from libs.common.errors import Conflict, NotFound
from libs.common.ids import TenantId
from libs.common.ledger.states import BatchState
from libs.common.ledger.tables import batch, schema_version, watermark
from libs.common.ledger.tables import ingestion as ledger_ingestion
from libs.common.storage.control import ingestion, refresh, run, schedule, secret
from services.api.caller import Caller
from services.api.ingestions.sense import Neighbour
from services.api.pages import Page

_TABLE = ("catalog", "database", "table")
_LOCK = (
    select(ingestion)
    .where(
        ingestion.c.id == bindparam("ingestion_id"),
        ingestion.c.tenant_id == bindparam("tenant_id"),
        ingestion.c.deleted_at.is_(None),
    )
    .with_for_update(key_share=True)
)


def as_json(definition: Definition) -> dict[str, Any]:
    """The stored form: the words of the API (``schema``, not ``schema_rules``)."""
    return definition.model_dump(mode="json", by_alias=True)


async def insert_ingestion(
    connection: AsyncConnection, caller: Caller, ingestion_id: UUID, definition: Definition
) -> None:
    await connection.execute(
        ingestion.insert().values(
            id=ingestion_id,
            tenant_id=caller.tenant_id,
            status="draft",
            definition=as_json(definition),
            created_by=caller.actor,
        )
    )


async def update_definition(connection: AsyncConnection, ingestion_id: UUID, definition: Definition) -> None:
    await connection.execute(
        update(ingestion)
        .where(ingestion.c.id == ingestion_id)
        .values(
            definition=as_json(definition),
            definition_version=ingestion.c.definition_version + 1,
            updated_at=func.now(),
        )
    )


async def forget(connection: AsyncConnection, ingestion_id: UUID) -> None:
    """Nobody sees the ingestion any more, and its credentials are gone. The ledger still refers to its row."""
    await connection.execute(update(ingestion).where(ingestion.c.id == ingestion_id).values(deleted_at=func.now()))
    await connection.execute(delete(secret).where(secret.c.ingestion_id == ingestion_id))
    await connection.execute(delete(schedule).where(schedule.c.ingestion_id == ingestion_id))


async def lock(connection: AsyncConnection, tenant_id: TenantId, ingestion_id: UUID) -> Row[Any]:
    """The live ingestion, locked until the transaction ends. Whoever changes its runs holds this lock first.

    Raises:
        NotFound: unknown, deleted, or another tenant's.
    """
    row = (await connection.execute(_LOCK, {"tenant_id": tenant_id, "ingestion_id": ingestion_id})).one_or_none()
    if row is None:
        raise unknown(ingestion_id)
    return row


async def tenant_of(connection: AsyncConnection, ingestion_id: UUID) -> TenantId:
    """Whose ingestion it is, for work that no caller asked for.

    Raises:
        NotFound: unknown or deleted.
    """
    query = select(ingestion.c.tenant_id).where(ingestion.c.id == ingestion_id, ingestion.c.deleted_at.is_(None))
    tenant_id = await connection.scalar(query)
    if tenant_id is None:
        raise unknown(ingestion_id)
    return TenantId(tenant_id)


async def set_status(connection: AsyncConnection, ingestion_id: UUID, status: str) -> None:
    """The caller holds the lock."""
    await connection.execute(
        update(ingestion).where(ingestion.c.id == ingestion_id).values(status=status, updated_at=func.now())
    )


def refuse_while_paused(row: Row[Any]) -> None:
    """
    Raises:
        Conflict: code ``ingestion_paused``.
    """
    if row.status == "paused":
        raise Conflict(
            "this ingestion is paused",
            code="ingestion_paused",
            hint=f"POST /api/v1/ingestions/{row.id}/resume lets it go on",
        )


async def ensure_exists(connection: AsyncConnection, tenant_id: TenantId, ingestion_id: UUID) -> None:
    """
    Raises:
        NotFound: unknown, deleted, or another tenant's.
    """
    query = select(ingestion.c.id).where(*_visible(tenant_id), ingestion.c.id == ingestion_id)
    if (await connection.execute(query)).first() is None:
        raise unknown(ingestion_id)


def unknown(ingestion_id: UUID) -> NotFound:
    return NotFound(
        f"no ingestion has the id {ingestion_id}",
        code="unknown_ingestion",
        hint="GET /api/v1/ingestions lists the ingestions of this tenant",
    )


async def get(connection: AsyncConnection, tenant_id: TenantId, ingestion_id: UUID) -> Row[Any]:
    """One ingestion with its latest run and schema version.

    Raises:
        NotFound: unknown, deleted, or another tenant's.
    """
    found = await connection.execute(_shown(tenant_id).where(ingestion.c.id == ingestion_id))
    row: Row[Any] | None = found.one_or_none()
    if row is None:
        raise unknown(ingestion_id)
    return row


async def page(connection: AsyncConnection, tenant_id: TenantId, page: Page) -> tuple[Sequence[Row[Any]], int]:
    """The ingestions of one page, newest first, and how many there are in all."""
    total = await connection.scalar(select(func.count()).select_from(ingestion).where(*_visible(tenant_id)))
    newest_first = _shown(tenant_id).order_by(ingestion.c.created_at.desc(), ingestion.c.id.desc())
    rows = (await connection.execute(newest_first.limit(page.limit).offset(page.offset))).all()
    return rows, total or 0


async def neighbours(
    connection: AsyncConnection, tenant_id: TenantId, rows: Sequence[Row[Any]]
) -> dict[UUID, list[Neighbour]]:
    """For each of these ingestions, the tenant's others that write to its table. Case does not tell tables apart:
    catalogs differ in that."""
    tables = {row.id: _table_of(row.definition) for row in rows}
    destination = ingestion.c.definition["destination"]
    table = func.lower(func.concat_ws(".", *(destination[part].astext for part in _TABLE)))
    query = select(ingestion.c.id, ingestion.c.definition, table.label("table")).where(
        *_visible(tenant_id), table.in_(set(tables.values()))
    )
    writers = [
        (found.table, Neighbour(found.id, found.definition["name"], Source.model_validate(found.definition["source"])))
        for found in await connection.execute(query.order_by(ingestion.c.created_at))
    ]
    return {me: [each for name, each in writers if name == table and each.id != me] for me, table in tables.items()}


def _table_of(definition: Mapping[str, Any]) -> str:
    return ".".join(definition["destination"][part] for part in _TABLE).lower()


async def is_bound(connection: AsyncConnection, ingestion_id: UUID, generation: int) -> bool:
    """Whether files were loaded for this ingestion, or may be at this moment."""
    published = exists().where(
        batch.c.ingestion_id == ingestion_id,
        batch.c.generation == generation,
        batch.c.state == BatchState.PUBLISHED,
    )
    unfinished = exists().where(run.c.ingestion_id == ingestion_id, run.c.ended_at.is_(None))
    refreshing = exists().where(refresh.c.ingestion_id == ingestion_id, refresh.c.ended_at.is_(None))
    building = exists().where(ingestion.c.id == ingestion_id, ingestion.c.building.is_not(None))
    return bool(await connection.scalar(select(or_(published, unfinished, refreshing, building))))


async def unfinished_run(connection: AsyncConnection, ingestion_id: UUID) -> UUID | None:
    """A run that is active or queued, if there is one."""
    query = select(run.c.id).where(run.c.ingestion_id == ingestion_id, run.c.ended_at.is_(None))
    return await connection.scalar(query.order_by(run.c.dispatched_at.asc().nulls_last()).limit(1))


async def sealed_secret(connection: AsyncConnection, ingestion_id: UUID) -> bytes | None:
    return await connection.scalar(select(secret.c.sealed).where(secret.c.ingestion_id == ingestion_id))


async def store_secret(connection: AsyncConnection, ingestion_id: UUID, sealed: bytes) -> None:
    statement = insert(secret).values(ingestion_id=ingestion_id, sealed=sealed)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[secret.c.ingestion_id], set_={"sealed": sealed, "updated_at": func.now()}
        )
    )


async def remove_secret(connection: AsyncConnection, ingestion_id: UUID) -> None:
    await connection.execute(delete(secret).where(secret.c.ingestion_id == ingestion_id))


def _visible(tenant_id: TenantId) -> tuple[Any, Any]:
    return ingestion.c.tenant_id == tenant_id, ingestion.c.deleted_at.is_(None)


def _shown(tenant_id: TenantId) -> Select[Any]:
    last_run = (
        select(run.c.id, run.c.created_at)
        .where(run.c.ingestion_id == ingestion.c.id)
        .order_by(run.c.created_at.desc(), run.c.id.desc())
        .limit(1)
        .lateral("last_run")
    )
    schema = (
        select(func.max(schema_version.c.version).label("version"))
        .where(
            and_(schema_version.c.ingestion_id == ingestion.c.id, schema_version.c.generation == ingestion.c.generation)
        )
        .lateral("current_schema")
    )
    return (
        select(
            ingestion,
            last_run.c.id.label("last_run_id"),
            last_run.c.created_at.label("last_run_time"),
            schema.c.version.label("schema_version"),
            schedule.c.due_at.label("next_run_time"),
            watermark.c.up_to.label("watermark"),
            ledger_ingestion.c.halt_code,
            ledger_ingestion.c.halt_message,
            ledger_ingestion.c.halt_hint,
            ledger_ingestion.c.halted_at,
            exists().where(secret.c.ingestion_id == ingestion.c.id).label("credentials_set"),
        )
        .select_from(
            ingestion.outerjoin(last_run, true())
            .outerjoin(schema, true())
            .outerjoin(schedule, schedule.c.ingestion_id == ingestion.c.id)
            .outerjoin(
                watermark,
                and_(watermark.c.ingestion_id == ingestion.c.id, watermark.c.generation == ingestion.c.generation),
            )
            .outerjoin(ledger_ingestion, ledger_ingestion.c.ingestion_id == ingestion.c.id)
        )
        .where(*_visible(tenant_id))
    )
