"""What happens to the columns of tables: they are shown, and somebody decides which fields may become one."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.definition import Definition
from libs.common.failpoints import failpoint
from libs.common.ledger.column_decisions import Verdict, decide
from libs.common.ledger.model.columns import Proposal
from libs.common.storage.engine import Database
from services.api import audit
from services.api.caller import Caller
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.table_schema import repository
from services.api.table_schema.decisions import meant, rollback
from services.api.table_schema.schemas import ChangeOut, HeldOut, RollbackOut, SchemaOut, SchemaVersionOut

_LATEST = Page(limit=1, offset=0)


class Schemas:
    """The columns of all tenants' tables; every call sees those of its caller only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, caller: Caller, ingestion_id: UUID) -> SchemaOut:
        """
        Raises:
            NotFound: the ingestion.
        """
        async with self._database.read() as connection:
            return await _shown(connection, await ingestions.get(connection, caller.tenant_id, ingestion_id))

    async def versions(self, caller: Caller, ingestion_id: UUID, page: Page) -> tuple[list[SchemaVersionOut], int]:
        """The versions of the table's current generation, newest first, and how many there are.

        Raises:
            NotFound: the ingestion.
        """
        async with self._database.read() as connection:
            of = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            rows, total = await repository.page(connection, ingestion_id, of.generation, page)
        return [SchemaVersionOut.model_validate(row) for row in rows], total

    async def version(self, caller: Caller, ingestion_id: UUID, number: int) -> SchemaVersionOut:
        """
        Raises:
            NotFound: the ingestion, or the version.
        """
        async with self._database.read() as connection:
            of = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            row = await repository.get(connection, ingestion_id, of.generation, number)
        return SchemaVersionOut.model_validate(row)

    async def decide(
        self, caller: Caller, ingestion_id: UUID, columns: Sequence[str] | None, verdict: Verdict, once: Once | None
    ) -> Answer:
        """200 with the columns: from the next batch on, these become columns, or no column takes them.

        Raises:
            NotFound: the ingestion. Conflict: code ``nothing_held``. Invalid: codes ``unknown_column``,
                ``idempotency_key_reused``.
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:

            async def effect() -> Answer:
                of = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
                said = await repository.said(connection, ingestion_id)
                about = meant(columns, said, await _columns(connection, of))
                await _decide(connection, caller, ingestion_id, about, verdict)
                return Answer(200, (await _shown(connection, of)).model_dump(mode="json"))

            answer = await at_most_once(connection, caller, once, effect)
        failpoint("api.after_tx")
        return answer

    async def roll_back(self, caller: Caller, ingestion_id: UUID, version: int, once: Once | None) -> Answer:
        """200 with the columns: from the next batch on, files fill those of this version alone. Nothing in the table
        changes.

        Raises:
            NotFound: the ingestion, or the version. Invalid: code ``idempotency_key_reused``.
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:

            async def effect() -> Answer:
                of = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
                then = await repository.get(connection, ingestion_id, of.generation, version)
                said = await repository.said(connection, ingestion_id)
                found = rollback(_data(of, then["columns"]), await _columns(connection, of), said)
                await _decide(connection, caller, ingestion_id, found.rejected, "rejected")
                await _decide(connection, caller, ingestion_id, found.approved, "approved")
                shown = (await _shown(connection, of)).model_dump()
                kept = [ChangeOut.model_validate(d, from_attributes=True) for d in found.kept]
                return Answer(200, RollbackOut(**shown, kept=kept).model_dump(mode="json"))

            answer = await at_most_once(connection, caller, once, effect)
        failpoint("api.after_tx")
        return answer


async def _decide(
    connection: AsyncConnection, caller: Caller, ingestion_id: UUID, about: Sequence[Proposal], verdict: Verdict
) -> None:
    if about:
        await decide(connection, ingestion_id, about, verdict, by=caller.actor)
        details = {"columns": [proposal.column for proposal in about]}
        await audit.record(connection, caller, f"schema.{verdict}", ingestion_id, details=details)


async def _shown(connection: AsyncConnection, of: Row[Any]) -> SchemaOut:
    latest = await _latest(connection, of)
    said = await repository.said(connection, of.id)
    return SchemaOut(
        version=latest["version"] if latest else None,
        generation=of.generation,
        columns=latest["columns"] if latest else [],
        since=latest["created_at"] if latest else None,
        mode=Definition.model_validate(of.definition).format.schema_rules.mode,
        held=[HeldOut(**row, since=row["created_at"]) for row in said if row["state"] == "held"],
        rejected=sorted(row["column"] for row in said if row["state"] == "rejected"),
    )


async def _latest(connection: AsyncConnection, of: Row[Any]) -> dict[str, Any] | None:
    rows, _ = await repository.page(connection, of.id, of.generation, _LATEST)
    return rows[0] if rows else None


async def _columns(connection: AsyncConnection, of: Row[Any]) -> Mapping[str, str]:
    latest = await _latest(connection, of)
    return _data(of, latest["columns"]) if latest else {}


def _data(of: Row[Any], columns: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The columns that files fill, with their types: nobody decides about ours."""
    definition = Definition.model_validate(of.definition)
    ours = {*definition.destination.metadata_columns, definition.format.schema_rules.rescued_column}
    return {c["name"]: c["type"] for c in columns if c["name"] not in ours}
