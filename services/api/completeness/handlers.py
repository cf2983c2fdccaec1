"""Looking at how complete a table is. Nothing is changed."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.common.contracts.definition import Definition
from libs.common.ledger.watermarks import held_by, last_listing
from libs.common.selection.wanted import Wanted
from libs.common.storage.engine import Database
from services.api.caller import Caller
from services.api.completeness import misses, repository
from services.api.completeness.schemas import HELD_BY_MAX, MISSED_MAX, CompletenessOut, MissedOut
from services.api.completeness.views import shown
from services.api.ingestions import repository as ingestions


class Completeness:
    """Of all tenants' ingestions; every call sees those of its caller only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, caller: Caller, ingestion_id: UUID) -> CompletenessOut:
        """
        Raises:
            NotFound: the ingestion.
        """
        async with self._database.read() as connection:
            row = await ingestions.get(connection, caller.tenant_id, ingestion_id)
            known = await last_listing(connection, ingestion_id, row.generation)
            now = await repository.now(connection)
            wanted = Wanted(Definition.model_validate(row.definition).source, row.created_at)
            since = now if known is None else known.listed_from
            oldest = await held_by(connection, ingestion_id, row.generation, since, wanted, limit=HELD_BY_MAX)
            missed = [_missed(row) for row in await misses.newest(connection, ingestion_id, MISSED_MAX)]
        return shown(known, oldest, missed, now)


def _missed(row: Row[Any]) -> MissedOut:
    return MissedOut(
        rule=row.rule,
        pattern=row.pattern,
        begins=row.begins,
        ends=row.ends,
        expected=row.at_least,
        found=row.found,
        missed_at=row.missed_at,
        arrived_at=row.arrived_at,
    )
