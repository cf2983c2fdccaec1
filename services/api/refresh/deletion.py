"""Deleting ingestions: at once when nothing is under way, otherwise as a refresh that ends with the deletion, so that
nothing of the ingestion can become visible after it."""

from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import RefreshMode
from libs.common.failpoints import failpoint
from libs.common.ids import new_refresh_id
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api import audit
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.ingestions import repository as ingestions
from services.api.refresh import repository, views
from services.api.refresh.schemas import Impact, RefreshOut
from services.api.refresh.word import ExecutorsWord

TableFate = Literal["keep", "drop"]
_MODES: Final[dict[TableFate, RefreshMode]] = {"keep": "delete", "drop": "delete_with_table"}
DELETES: Final = frozenset(_MODES.values())


class Deletions:
    """Deletes ingestions of all tenants; every call sees those of its caller only. ``kept_for`` as in ``Refreshes``."""

    def __init__(
        self, database: Database, clusters: Clusters, outbox: Outbox, word: ExecutorsWord, *, kept_for: timedelta
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._outbox = outbox
        self._word = word
        self._kept_for = kept_for

    async def delete(self, caller: Caller, ingestion_id: UUID, table: TableFate) -> RefreshOut | None:
        """None when the ingestion is deleted, and there is nothing to say of its table; otherwise what is known of the
        deletion when the executor has said it, or when the wait is over. Asked again while it is under way, it is the
        same deletion.

        Raises:
            NotFound. Conflict: code ``refresh_active``. Invalid: code ``unknown_cluster``.
        """
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            refresh_id = await self._begin(connection, caller, ingestion_id, table)
        failpoint("api.after_tx")
        if refresh_id is None:
            return None
        row = await self._word.on(refresh_id)
        is_done = row.status == "success"
        return None if is_done and table == "keep" else views.told(row, kept_for=self._kept_for)

    async def _begin(
        self, connection: AsyncConnection, caller: Caller, ingestion_id: UUID, table: TableFate
    ) -> UUID | None:
        of = await ingestions.lock(connection, caller.tenant_id, ingestion_id)
        active = await repository.active(connection, ingestion_id)
        if active is not None and active.mode == _MODES[table]:
            return UUID(str(active.id))
        await repository.refuse_while_under_way(connection, ingestion_id)
        is_idle = of.building is None and await ingestions.unfinished_run(connection, ingestion_id) is None
        if table == "keep" and is_idle:
            await ingestions.forget(connection, ingestion_id)
            await audit.record(connection, caller, "ingestion.deleted", ingestion_id, destructive=True)
            return None
        self._clusters.url_of(of.definition["cluster_id"])
        refresh_id = new_refresh_id()
        await repository.insert(
            connection,
            of,
            id=refresh_id,
            mode=_MODES[table],
            undoes=of.building,
            auto_run=False,
            impact=Impact().model_dump(mode="json"),
            notes=[],
        )
        await repository.announce(connection, self._outbox, refresh_id)
        details = {"refresh_id": str(refresh_id), "table": table}
        await audit.record(
            connection, caller, "ingestion.deletion_requested", ingestion_id, destructive=True, details=details
        )
        return refresh_id
