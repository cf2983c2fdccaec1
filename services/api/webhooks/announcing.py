"""Writes down what webhooks are to be told, in the transaction of the fact: if it commits, they will be.

The id of a delivery follows from webhook and fact, so a fact that is taken in twice is told once.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID, uuid5

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.clock import utc_now
from libs.common.contracts.codec import encode
from libs.common.contracts.events import FileBatchCommitted, Message, RunCompleted, RunFact, RunState
from libs.common.contracts.webhooks import FileQuarantined, RunFailed, RunFinished, SchemaChanged, changes_of
from libs.common.ids import EventId
from libs.common.ledger.tables import schema_version
from services.api.webhooks import repository

SOURCE = "autoloader/api"


async def announce(
    connection: AsyncConnection, tenant_id: str, ingestion_id: UUID, message: Message, *, about: str
) -> None:
    """Tells everybody of the tenant who listens to it. ``about`` names the fact: the same one is told once."""
    for listener in await repository.listeners(connection, tenant_id, ingestion_id):
        if message.wire_type in listener.event_types:
            delivery_id = uuid5(listener.id, f"{message.wire_type} {about}")
            await enqueue(connection, listener.id, delivery_id, message)


async def enqueue(connection: AsyncConnection, webhook_id: UUID, delivery_id: UUID, message: Message) -> None:
    """One message for one webhook."""
    body = encode(message, source=SOURCE, time=utc_now(), event_id=EventId(delivery_id))
    await repository.add_delivery(connection, delivery_id, webhook_id, message.wire_type, body)


async def announce_facts(connection: AsyncConnection, facts: Sequence[tuple[RunFact, RunState]]) -> None:
    """What these facts of runs mean to webhooks. Beside each, its run with the fact in it."""
    if not await repository.any_listens(connection, {state.tenant_id for _, state in facts}):
        return
    for fact, state in facts:
        await _announce_fact(connection, fact, state)


async def _announce_fact(connection: AsyncConnection, fact: RunFact, state: RunState) -> None:
    of = state.tenant_id, state.ingestion_id
    if isinstance(fact, RunCompleted):
        ended = RunFailed if state.status == "failed" else RunFinished
        await announce(connection, *of, ended.model_validate(state.model_dump()), about=str(state.run_id))
    if isinstance(fact, FileBatchCommitted):
        if fact.records_quarantined:
            await announce(connection, *of, _quarantined(fact, state), about=str(fact.batch_id))
        for change in await _schema_changes(connection, fact, state):
            about = f"{state.ingestion_id} {change.generation} {change.version}"
            await announce(connection, *of, change, about=about)


def _quarantined(fact: FileBatchCommitted, state: RunState) -> FileQuarantined:
    return FileQuarantined(
        tenant_id=state.tenant_id,
        ingestion_id=state.ingestion_id,
        run_id=state.run_id,
        batch_id=fact.batch_id,
        table=state.table,
        records=fact.records_quarantined,
        problems=fact.problems,
    )


async def _schema_changes(
    connection: AsyncConnection, fact: FileBatchCommitted, state: RunState
) -> Iterable[SchemaChanged]:
    v = schema_version.c
    made_by_the_batch = select(v.version, v.changes).where(
        v.ingestion_id == state.ingestion_id,
        v.generation == fact.generation,
        v.batch_id == fact.batch_id,
        v.version > 1,
    )
    return [
        SchemaChanged(
            tenant_id=state.tenant_id,
            ingestion_id=state.ingestion_id,
            run_id=state.run_id,
            generation=fact.generation,
            table=state.table,
            version=row.version,
            changes=changes_of(row.changes),
        )
        for row in await connection.execute(made_by_the_batch)
    ]
