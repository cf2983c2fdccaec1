"""Asking for connection tests. An executor does the work: whether *it* reaches the cluster is the question."""

import asyncio
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import CheckCluster, Problem
from libs.common.contracts.reports import ClusterReport
from libs.common.contracts.topics import CLUSTER_COMMANDS
from libs.common.errors import NotFound
from libs.common.failpoints import failpoint
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.caller import Caller
from services.api.clusters import repository
from services.api.clusters.registry import Clusters
from services.api.clusters.schemas import ConnectionTestOut
from services.api.idempotency import Answer, Once, at_most_once

_LOOK_EVERY_S = 0.1


class ConnectionTests:
    """The connection tests of all tenants; every call sees those of its caller only. ``wait`` bounds how long an answer
    waits for an executor's word."""

    def __init__(self, database: Database, clusters: Clusters, outbox: Outbox, *, wait: timedelta) -> None:
        self._database = database
        self._clusters = clusters
        self._outbox = outbox
        self._wait = wait

    async def request(self, caller: Caller, cluster_id: str, once: Once | None) -> Answer:
        """200 with what was found; 202 when the wait is over before. The same Idempotency-Key gets the same test, as it
        stands then.

        Raises:
            NotFound: the cluster. Invalid: code ``idempotency_key_reused``.
        """
        self._clusters.get(cluster_id)
        failpoint("api.before_tx")
        async with self._database.begin() as connection:
            accepted = await at_most_once(
                connection, caller, once, lambda: self._request(connection, caller, cluster_id)
            )
        failpoint("api.after_tx")
        test = await self._word_on(caller, cluster_id, UUID(accepted.body["test_id"]))
        return Answer(202 if test.ended_at is None else 200, test.model_dump(mode="json"), replayed=accepted.replayed)

    async def get(self, caller: Caller, cluster_id: str, test_id: UUID) -> ConnectionTestOut:
        """
        Raises:
            NotFound: the cluster, or the test.
        """
        url = self._clusters.get(cluster_id)
        async with self._database.read() as connection:
            row = await repository.get(connection, caller.tenant_id, cluster_id, test_id)
        if row is None:
            raise NotFound(
                f"no connection test of cluster {cluster_id!r} has the id {test_id}",
                code="unknown_connection_test",
                hint="tests are kept for a week; ask for a new one: POST …/test-connection",
            )
        return _shown(row, url)

    async def _request(self, connection: AsyncConnection, caller: Caller, cluster_id: str) -> Answer:
        test_id = uuid4()
        await repository.insert(connection, caller.tenant_id, test_id, cluster_id)
        command = CheckCluster(request_id=test_id, cluster_id=cluster_id)
        await self._outbox.enqueue(connection, CLUSTER_COMMANDS, command)
        return Answer(202, {"test_id": str(test_id)})

    async def _word_on(self, caller: Caller, cluster_id: str, test_id: UUID) -> ConnectionTestOut:
        """The test as soon as something was said, or as it is when the wait is over."""
        deadline = asyncio.get_running_loop().time() + self._wait.total_seconds()
        while True:
            test = await self.get(caller, cluster_id, test_id)
            if test.ended_at is not None or asyncio.get_running_loop().time() >= deadline:
                return test
            await asyncio.sleep(_LOOK_EVERY_S)


def _shown(row: RowMapping, url: str) -> ConnectionTestOut:
    report = ClusterReport.model_validate(row["report"]) if row["report"] else None
    problem = Problem.model_validate(row["problem"]) if row["problem"] else None
    if report is not None:
        usable = sum(catalog.usable for catalog in report.catalogs)
        message = (
            f"Spark {report.spark_version} answered in {report.statement_ms} ms, after {report.connect_ms} ms for a "
            f"new session; {usable} of {len(report.catalogs)} catalogs can be used"
        )
    else:
        message = problem.message if problem else "no executor has said anything yet; is one running?"
    return ConnectionTestOut(
        test_id=row["id"],
        cluster_id=row["cluster_id"],
        spark_connect_url=url,
        status="success" if report else "failed" if problem else "pending",
        message=message,
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        report=report,
        problem=problem,
        ask_again=None if row["ended_at"] else _address(row["cluster_id"], row["id"]),
    )


def _address(cluster_id: str, test_id: UUID) -> str:
    return f"/api/v1/clusters/{quote(cluster_id, safe='')}/connection-tests/{test_id}"
