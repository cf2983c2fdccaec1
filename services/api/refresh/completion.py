"""When the table that a refresh builds aside is complete: then a refresh of its own puts it in the old one's place.

Looked at when a run has succeeded, in the transaction that takes its end in. So no end is missed; and no refresh begins
while another one of the ingestion is under way.
"""

from uuid import UUID

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ids import new_refresh_id
from libs.common.ledger.states import LOADED_FILE_STATES, FileState
from libs.common.ledger.tables import file, scan
from libs.common.logs import get_logger
from libs.common.storage.control import ingestion, refresh, run
from libs.common.storage.outbox import Outbox
from services.api.refresh import repository
from services.api.refresh.schemas import Impact

_log = get_logger(__name__)
_NOT_LOADED = (FileState.FAILED, FileState.DISCOVERED, FileState.BATCHED)


async def replace_when_built(connection: AsyncConnection, outbox: Outbox, ingestion_id: UUID) -> None:
    """The caller holds the ingestion's lock."""
    of = (await connection.execute(select(ingestion).where(ingestion.c.id == ingestion_id))).one()
    if of.building is None or await repository.active(connection, ingestion_id) is not None:
        return
    if not await _is_complete(connection, ingestion_id, of.generation, of.building):
        return
    refresh_id = new_refresh_id()
    await repository.insert(
        connection,
        of,
        id=refresh_id,
        mode="swap",
        completes=of.building,
        auto_run=False,
        impact=Impact().model_dump(mode="json"),
        notes=[],
    )
    await repository.announce(connection, outbox, refresh_id)
    _log.info("refresh.built", refresh_id=str(of.building), ingestion_id=str(ingestion_id), swap_id=str(refresh_id))


async def _is_complete(connection: AsyncConnection, ingestion_id: UUID, generation: int, building: UUID) -> bool:
    """Whether some run of what is new listed the source to its end, nothing that any run found is left to load, and no
    run is under way."""
    of_generation = and_(run.c.ingestion_id == ingestion_id, run.c.generation == generation)
    has_no_scope = func.coalesce(func.jsonb_typeof(run.c.scope), "null") == "null"  # JSON's null, or SQL's
    reads_all = or_(
        and_(run.c.lane == "fresh", has_no_scope, run.c.retry_of.is_(None)),
        exists().where(refresh.c.id == building, refresh.c.run_id == run.c.id),
    )
    was_listed = exists().where(of_generation, reads_all, scan.c.run_id == run.c.id, scan.c.was_listed)
    under_way = exists().where(
        run.c.ingestion_id == ingestion_id, run.c.ended_at.is_(None), run.c.dispatched_at.is_not(None)
    )
    newer = file.alias("newer")
    is_loaded = exists().where(
        newer.c.ingestion_id == file.c.ingestion_id,
        newer.c.generation == file.c.generation,
        newer.c.key_digest == file.c.key_digest,
        newer.c.state.in_(LOADED_FILE_STATES),
    )
    is_left = exists().where(
        file.c.ingestion_id == ingestion_id,
        file.c.generation == generation,
        file.c.state.in_(_NOT_LOADED),
        ~is_loaded,
    )
    return bool(await connection.scalar(select(was_listed & ~under_way & ~is_left)))
