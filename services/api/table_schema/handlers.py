"""Looking at the columns of a table. Nothing is changed."""

from uuid import UUID

from libs.common.contracts.definition import Definition
from libs.common.storage.engine import Database
from services.api.caller import Caller
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.table_schema import repository
from services.api.table_schema.schemas import SchemaOut, SchemaVersionOut


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
            of = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            rows, _ = await repository.page(connection, ingestion_id, of.generation, Page(limit=1, offset=0))
        latest = rows[0] if rows else None
        return SchemaOut(
            version=latest["version"] if latest else None,
            generation=of.generation,
            columns=latest["columns"] if latest else [],
            since=latest["created_at"] if latest else None,
            mode=Definition.model_validate(of.definition).format.schema_rules.mode,
        )

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
