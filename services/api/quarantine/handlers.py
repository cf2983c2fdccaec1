"""Looking at bad records. Nothing is changed."""

from uuid import UUID

from libs.common.contracts.definition import Definition
from libs.common.storage.engine import Database
from services.api.caller import Caller
from services.api.files.handlers import bucket_and_key
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.quarantine import repository
from services.api.quarantine.schemas import QuarantinedOut


class Quarantine:
    """The bad records of all tenants; every call sees those of its caller only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, caller: Caller, ingestion_id: UUID, page: Page, *, file: str | None
    ) -> tuple[list[QuarantinedOut], int]:
        """Files of the table's current generation with bad records, newest first, and how many there are. ``file`` is a
        key of the source's bucket, or ``s3://bucket/key``.

        Raises:
            NotFound: the ingestion. Invalid: code ``invalid_key``.
        """
        async with self._database.read() as connection:
            row = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            definition = Definition.model_validate(row.definition)
            uri = None
            if file is not None:
                bucket, key = bucket_and_key(file, definition.source.bucket)
                uri = f"s3://{bucket}/{key}"
            table = definition.destination.quarantine.identifier
            return await repository.page(connection, ingestion_id, row.generation, page, table=table, uri=uri)
