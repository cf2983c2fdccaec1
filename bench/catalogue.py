"""Who is measured on what. A new peer gets its line here."""

from collections.abc import Mapping

from pyspark.sql.connect.session import SparkSession

from bench.peers.apart import measure_apart
from bench.peers.ours import Ours
from bench.peers.peer import Peer, measure
from bench.peers.spark_batch import OneAppend, OneAppendPerFile, folder, inferred, paths
from bench.peers.spark_stream import Stream
from bench.rounds import Runner
from bench.stack import SPARK_URL
from bench.workloads import DDL, Workload
from client.rest import AutoloaderClient
from services.executor.adapters.spark_sessions import SessionKey, open_session

OURS, INFERRED, FLOOR = "ours", "ours-inferred", "spark-folder"
LIMIT_S = 120.0
"""After which a variant is given up."""
PER_FILE_MAX = 100

VARIANTS: Mapping[str, str] = {
    OURS: "Autoloader, POST to success, schema given",
    INFERRED: "Autoloader, POST to success, schema inferred",
    FLOOR: "Spark reads the folder, schema given, our settings (the floor)",
    "spark-defaults": "Spark reads the folder, schema given, its own settings",
    "spark-inferred": "Spark reads the folder and infers the schema",
    "spark-paths": "Spark reads every file by name, our settings",
    "stream": "Structured Streaming, availableNow",
    "dlt": "dlt, filesystem to Iceberg",
    "polars": "A script with polars and PyIceberg",
    "pyarrow": "A script with pyarrow and PyIceberg",
    "per-file": "Spark, a commit for each file",
}
APART = frozenset({"dlt", "polars", "pyarrow"})
"""Who runs in a process of its own, with packages of its own."""
WITHOUT: Mapping[str, frozenset[str]] = {
    "w2": frozenset({"per-file"}),
    "w3": frozenset({"per-file"}),
    "tiny": frozenset({"per-file", "spark-paths", "spark-inferred", INFERRED, "dlt"}),
}
"""Who is not measured on which workload, since it would take long and tell nothing new."""


class Runners:
    """How each variant is measured, on the running stack. Peers of a kind share a session, as in a warm process."""

    def __init__(self, api: AutoloaderClient, bucket: str) -> None:
        self._with_ours = open_session(SessionKey(SPARK_URL, bucket, None))
        self.spark: SparkSession = SparkSession.builder.remote(SPARK_URL).create()
        tuned, plain = self._with_ours, self.spark
        self._peers: Mapping[str, Peer] = {
            OURS: Ours(api, plain, limit_s=LIMIT_S, columns=DDL),
            INFERRED: Ours(api, plain, limit_s=LIMIT_S, columns=None),
            FLOOR: OneAppend(tuned, folder),
            "spark-defaults": OneAppend(plain, folder),
            "spark-inferred": OneAppend(plain, inferred),
            "spark-paths": OneAppend(tuned, paths),
            "stream": Stream(plain, limit_s=LIMIT_S),
            "per-file": OneAppendPerFile(plain),
        }

    def of(self, work: Workload, skip: frozenset[str]) -> Mapping[str, Runner]:
        """By the variant's key, in the order of ``VARIANTS``."""
        left_out = WITHOUT.get(work.key, frozenset()) | skip
        return {key: self._runner(key, title) for key, title in VARIANTS.items() if key not in left_out}

    def close(self) -> None:
        """A session that is not stopped holds a connection of the catalog for minutes."""
        for session in (self._with_ours, self.spark):
            session.stop()

    def _runner(self, key: str, title: str) -> Runner:
        if key in APART:
            return Runner(title, lambda work: measure_apart(key, work, limit_s=LIMIT_S), is_warmed_up=False)
        peer = self._peers[key]
        return Runner(title, lambda work: measure(peer, work), files_max=PER_FILE_MAX if key == "per-file" else None)
