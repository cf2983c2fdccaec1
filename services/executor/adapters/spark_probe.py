"""A look at a cluster: a new session, a tiny statement, and its catalogs one by one."""

import asyncio
import re
import time
from collections.abc import Mapping

import grpc
from pyspark.errors import PySparkException

from libs.common.contracts.reports import CatalogSeen, ClusterReport
from libs.common.errors import Temporary
from libs.common.schema import quoted
from services.executor.adapters.clusters import url_of
from services.executor.adapters.spark_errors import first_line, translate
from services.executor.adapters.spark_sessions import BatchSession, SparkSessions

_CATALOG = re.compile(r"spark\.sql\.catalog\.([^.]+)")
CATALOGS_MAX = 20
LOOK_S_MAX = 60.0


class SparkProbe:
    """A ``ClusterProbe``. ``clusters`` maps cluster ids to Spark Connect URLs."""

    def __init__(
        self, sessions: SparkSessions, clusters: Mapping[str, str], *, seconds_max: float = LOOK_S_MAX
    ) -> None:
        self._sessions = sessions
        self._clusters = clusters
        self._seconds_max = seconds_max

    async def look(self, cluster_id: str) -> ClusterReport:
        url = url_of(cluster_id, self._clusters)
        try:
            async with asyncio.timeout(self._seconds_max):
                return await self._look(url, cluster_id)
        except Temporary as e:
            if e.code != "spark_unreachable" or isinstance(e.__cause__, OSError | TimeoutError | None):
                raise
            # Something is there. What it said tells more than that there is no session.
            said = first_line(str(e.__cause__))
            hint = "is it a Spark Connect server, of this version, and is the token in AUTOLOADER_CLUSTERS right?"
            raise Temporary(f"{e.message}: {said}", code=e.code, hint=hint) from e
        except TimeoutError as e:
            raise Temporary(
                f"cluster {cluster_id!r} did not answer within {self._seconds_max:g} s",
                code="spark_slow",
                hint="look at the Spark server's log and its UI: is it out of memory, or busy?",
            ) from e

    async def _look(self, url: str, cluster_id: str) -> ClusterReport:
        began = time.monotonic()
        async with self._sessions.once(url) as session:
            connected = time.monotonic()
            try:
                version = await session.run(lambda: _version(session))
                answered = time.monotonic()
                names = await session.run(lambda: _catalogs(session))
            except TimeoutError:
                raise
            except Exception as e:
                raise translate(e, url=url, table=f"cluster {cluster_id!r}") from e
            catalogs = await session.run(lambda: [_seen(session, name) for name in names[:CATALOGS_MAX]])
        return ClusterReport(
            spark_version=version,
            connect_ms=round((connected - began) * 1000),
            statement_ms=round((answered - connected) * 1000),
            catalogs=tuple(catalogs),
        )


def _version(session: BatchSession) -> str:
    return str(session.spark.sql("SELECT version() AS version").collect()[0]["version"]).split(" ")[0]


def _catalogs(session: BatchSession) -> list[str]:
    """The catalogs that are configured. SHOW CATALOGS names those only that somebody has used."""
    keys = [row["key"] for row in session.spark.sql("SET").collect()]
    return sorted({found[1] for key in keys if (found := _CATALOG.fullmatch(key))} | {"spark_catalog"})


def _seen(session: BatchSession, name: str) -> CatalogSeen:
    try:
        session.spark.sql(f"SHOW NAMESPACES IN {quoted(name)}").collect()
    except (PySparkException, grpc.RpcError) as e:  # whatever it is: it is what was asked for
        return CatalogSeen(name=name, usable=False, problem=first_line(str(e)))
    return CatalogSeen(name=name, usable=True)
