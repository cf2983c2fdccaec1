"""Checks of clusters as an executor does them: see what is asked for, look, write down what was found.

There is no lease: a check changes nothing, so two executors may look at once. The first word stays.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from libs.common.contracts.events import Problem
from libs.common.contracts.reports import ClusterReport
from libs.common.ledger.tables import cluster_check as found
from libs.common.storage.control import cluster_check as asked
from libs.common.storage.engine import Database


class ClusterChecks:
    """``owner`` names the process in the tables."""

    def __init__(self, database: Database, *, owner: str) -> None:
        self._database = database
        self._owner = owner

    async def waiting(self, *, asked_before: timedelta, limit: int) -> list[UUID]:
        """Requests of which nothing was said within ``asked_before``, the oldest first."""
        query = (
            select(asked.c.id)
            .outerjoin(found, found.c.id == asked.c.id)
            .where(found.c.id.is_(None), asked.c.created_at < func.clock_timestamp() - asked_before)
            .order_by(asked.c.created_at)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return list(await connection.scalars(query))

    async def cluster_of(self, request_id: UUID) -> str | None:
        """Which cluster to look at; None when something was said already, or nobody asked."""
        query = (
            select(asked.c.cluster_id)
            .outerjoin(found, found.c.id == asked.c.id)
            .where(asked.c.id == request_id, found.c.id.is_(None))
        )
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def tell(self, request_id: UUID, word: ClusterReport | Problem) -> None:
        """What was found, or what went wrong."""
        column = "problem" if isinstance(word, Problem) else "report"
        row: Mapping[str, Any] = {"id": request_id, "owner": self._owner, column: word.model_dump(mode="json")}
        async with self._database.begin() as connection:
            await connection.execute(insert(found).values(**row).on_conflict_do_nothing())
