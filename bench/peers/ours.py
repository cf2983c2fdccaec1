"""Autoloader, as a user meets it: POST …/run, then its state until it is over. All services run and are warm."""

from threading import Thread
from uuid import UUID, uuid4

from pyspark.sql.connect.session import SparkSession

from bench.peers.peer import GivenUp, Loaded
from bench.peers.spark_tables import drop, look
from bench.stack import definition, table_of
from bench.workloads import Workload
from client.answers import Run
from client.rest import AutoloaderClient


class Ours:
    """A new ingestion for each load, whose first run makes the table and loads everything. ``columns`` (DDL) are given
    in its definition; None: the run infers them first."""

    def __init__(self, api: AutoloaderClient, spark: SparkSession, *, limit_s: float, columns: str | None) -> None:
        rules = {} if columns is None else {"schema": {"inference": "manual", "schema_json": columns}}
        self._format = {"type": "json", **rules}
        self._api = api
        self._spark = spark
        self._limit_s = limit_s
        self._name = ""
        self._ingestion: UUID | None = None

    def prepare(self, work: Workload) -> None:
        self._name = f"bench_ours_{uuid4().hex[:8]}"
        self._ingestion = self._api.create_ingestion(
            definition(self._name, f"s3://{work.source}", format=self._format)
        ).id

    def load(self, work: Workload) -> None:  # noqa: ARG002  # the ingestion knows
        assert self._ingestion is not None
        run_to_success(self._api, self._ingestion, limit_s=self._limit_s)

    def loaded(self) -> Loaded:
        return look(self._spark, table_of(self._name))

    def clean(self) -> None:
        if self._ingestion is not None:
            self._api.delete_ingestion(self._ingestion)
            self._ingestion = None
            drop(self._spark, table_of(self._name))


def run_to_success(api: AutoloaderClient, ingestion_id: UUID, *, limit_s: float) -> Run:
    """Asks for a run and follows it to its end. Who asks for its state again and again takes a part of a small machine
    from what is measured.

    Raises:
        GivenUp: it is not over in time, or ended otherwise.
    """
    run_id = api.start_run(ingestion_id).run_id
    heard: list[Run] = []
    follower = Thread(target=lambda: heard.extend(api.run_events(ingestion_id, run_id)), daemon=True)
    follower.start()
    follower.join(limit_s)
    run = heard[-1] if heard and not follower.is_alive() else api.run(ingestion_id, run_id)
    if not run.is_over:
        raise GivenUp(f"the run is {run.status} after {limit_s:.0f} s")
    if run.status != "success":
        raise GivenUp(f"the run ended {run.status}: {'; '.join(error.message for error in run.errors)}")
    return run
