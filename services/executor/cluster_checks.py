"""Looking at a cluster because somebody asked whether it can be used.

Whatever goes wrong *is* the answer, so nothing is tried again, but for a database that is away.
"""

from typing import Protocol
from uuid import UUID

from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import CheckCluster, Problem
from libs.common.contracts.reports import ClusterReport
from libs.common.errors import Permanent, Temporary
from libs.common.ledger.cluster_checks import ClusterChecks
from libs.common.logs import get_logger

_log = get_logger(__name__)


class ClusterProbe(Protocol):
    async def look(self, cluster_id: str) -> ClusterReport:
        """What is found at a cluster, in a session of its own.

        Raises:
            Permanent: ``unknown_cluster``, or the cluster refuses us.
            Temporary: it is away, or does not answer in time.
        """
        ...


class Checks:
    """Handles checks of clusters. One instance per process."""

    def __init__(self, requests: ClusterChecks, probe: ClusterProbe) -> None:
        self._requests = requests
        self._probe = probe

    async def on_check_cluster(self, envelope: Envelope) -> None:
        command = envelope.message
        assert isinstance(command, CheckCluster)
        await self.work_on(command.request_id)

    async def work_on(self, request_id: UUID) -> None:
        """Looks, and tells, unless that was done.

        Raises:
            Temporary: the database is away.
        """
        cluster_id = await self._requests.cluster_of(request_id)
        if cluster_id is not None:
            await self._requests.tell(request_id, await self._word_on(request_id, cluster_id))

    async def _word_on(self, request_id: UUID, cluster_id: str) -> ClusterReport | Problem:
        log = _log.bind(request_id=str(request_id), cluster_id=cluster_id)
        try:
            report = await self._probe.look(cluster_id)
        except (Temporary, Permanent) as e:
            log.warning("cluster.unusable", code=e.code, problem=e.message)
            return Problem(error_type=e.code, message=e.message, hint=e.hint)
        except Exception:  # our bug; loud, and whoever asked hears of it
            log.exception("cluster.check_failed")
            return Problem(
                error_type="internal_error",
                message=f"an unexpected error stopped the look at cluster {cluster_id!r}",
                hint=f"look for request {request_id} in the executor's log, and report it",
            )
        log.info("cluster.checked", spark_version=report.spark_version, connect_ms=report.connect_ms)
        return report
