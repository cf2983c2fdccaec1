"""What a run was asked to do: its frozen definition, with the credentials opened. Read-only.

Scanner and executor learn everything about a run's source and table here, so that messages need to carry ids only.
Credentials are not frozen with the definition: a run uses the ones that are stored now, so that rotating a key
takes effect at once.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import literal, select

from libs.common.contracts.definition import Credentials, Definition
from libs.common.contracts.scope import EVERYTHING, Scope
from libs.common.errors import Permanent
from libs.common.ids import IngestionId, RefreshId, RunId, TenantId
from libs.common.secrets import SecretBox
from libs.common.storage.control import ingestion, reconciliation, refresh, run, secret
from libs.common.storage.engine import Database


@dataclass(frozen=True, slots=True)
class RunDefinition:
    """One run's orders. ``credentials`` is None when the source is reached with the process's own identity;
    ``retry_of`` names the run of which only the failed files are to be read; ``created_at`` is when the ingestion was
    made."""

    run_id: RunId
    ingestion_id: IngestionId
    tenant_id: TenantId
    generation: int
    trigger: str
    definition: Definition
    credentials: Credentials | None = field(repr=False)
    created_at: datetime
    retry_of: RunId | None = None
    scope: Scope = EVERYTHING


class RunDefinitions:
    """Reads run definitions from the ``control`` schema."""

    def __init__(self, database: Database, secret_box: SecretBox) -> None:
        self._database = database
        self._box = secret_box

    async def of(self, run_id: UUID) -> RunDefinition:
        """The definition that the run was accepted with, and the credentials that are stored now.

        Raises:
            Permanent: code ``unknown_run``; ``secret_unreadable`` if the credentials were sealed with another key.
            Temporary: code ``database_unavailable``.
        """
        query = (
            select(
                run.c.ingestion_id,
                run.c.tenant_id,
                run.c.generation,
                run.c.trigger,
                run.c.definition,
                run.c.retry_of,
                run.c.scope,
                ingestion.c.created_at,
                secret.c.sealed,
            )
            .select_from(
                run.join(ingestion, ingestion.c.id == run.c.ingestion_id).outerjoin(
                    secret, secret.c.ingestion_id == run.c.ingestion_id
                )
            )
            .where(run.c.id == run_id)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise Permanent(f"no run has the id {run_id}", code="unknown_run", hint="it was never accepted by the API")
        order = self._opened(run_id, row)
        return replace(
            order,
            retry_of=RunId(row.retry_of) if row.retry_of else None,
            scope=Scope.model_validate(row.scope) if row.scope else EVERYTHING,
        )

    async def of_reconciliation(self, request_id: UUID) -> RunDefinition:
        """As ``of``, for an audit or a rebuild; its own id stands in the run's place, its kind in the trigger's."""
        asked = reconciliation.c
        query = (
            select(
                asked.ingestion_id, asked.tenant_id, asked.generation, asked.kind.label("trigger"), asked.definition,
                ingestion.c.created_at, secret.c.sealed,
            )
            .select_from(
                reconciliation.join(ingestion, ingestion.c.id == asked.ingestion_id).outerjoin(
                    secret, secret.c.ingestion_id == asked.ingestion_id
                )
            )
            .where(asked.id == request_id)
        )  # fmt: skip
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise Permanent(f"no audit or rebuild has the id {request_id}", code="unknown_request")
        return self._opened(request_id, row)

    async def of_refresh(self, refresh_id: RefreshId) -> RunDefinition:
        """The orders of a refresh, in the shape of a run's; ``run_id`` is the refresh's own id.

        Raises:
            Permanent: code ``unknown_refresh``; ``secret_unreadable`` as above.
            Temporary: code ``database_unavailable``.
        """
        query = (
            select(
                refresh.c.ingestion_id, ingestion.c.tenant_id, refresh.c.to_generation.label("generation"),
                literal("refresh").label("trigger"), refresh.c.definition, ingestion.c.created_at, secret.c.sealed,
            )
            .select_from(
                refresh.join(ingestion, ingestion.c.id == refresh.c.ingestion_id).outerjoin(
                    secret, secret.c.ingestion_id == refresh.c.ingestion_id
                )
            )
            .where(refresh.c.id == refresh_id)
        )  # fmt: skip
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise Permanent(
                f"no refresh has the id {refresh_id}", code="unknown_refresh", hint="it was never accepted by the API"
            )
        return self._opened(refresh_id, row)

    def _opened(self, order_id: UUID, row: Any) -> RunDefinition:
        return RunDefinition(
            run_id=RunId(order_id),
            ingestion_id=IngestionId(row.ingestion_id),
            tenant_id=TenantId(row.tenant_id),
            generation=row.generation,
            trigger=row.trigger,
            definition=Definition.model_validate(row.definition),
            credentials=open_credentials(self._box, row.ingestion_id, row.sealed),
            created_at=row.created_at,
        )


def seal_credentials(box: SecretBox, ingestion_id: UUID, credentials: Credentials) -> bytes:
    """The bytes of ``control.secret``: they open for this ingestion only."""
    return box.seal(credentials.model_dump_json(), owner=str(ingestion_id))


def open_credentials(box: SecretBox, ingestion_id: UUID, sealed: bytes | None) -> Credentials | None:
    """The inverse of ``seal_credentials``; None stays None."""
    if sealed is None:
        return None
    return Credentials.model_validate_json(box.open(sealed, owner=str(ingestion_id)))
