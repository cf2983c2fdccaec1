"""The topics as a catalogue: who writes, who reads, and why that key.

Topics are created by the services at start, from this list and nothing else (brokers run with
``auto.create.topics.enable=false``). Names are ``<prefix>.<name>.v<n>``; the prefix is a setting so that two
installations can share a broker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from libs.common.contracts.events import (
    RUN_FACTS,
    AuditIngestion,
    CheckCluster,
    ExpectedFileArrived,
    ExpectedFileMissing,
    FileBatchPlanned,
    FillColumns,
    Message,
    RebuildLedger,
    RefreshTable,
    RunRequested,
    RunState,
    TableRefreshed,
    TableRefreshFailed,
    WatermarkAdvanced,
)
from libs.common.contracts.scope import Lane

DEFAULT_PREFIX = "autoloader"
MESSAGE_BYTES_MAX = 1024 * 1024
FOREIGN_BYTES_MAX = MESSAGE_BYTES_MAX - 16 * 1024
"""What others may hand us to put on a topic: it leaves room for framing."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One entry of the catalogue. ``suffix`` follows the installation's prefix.

    ``is_public``: outsiders may read it, and asyncapi.json describes it; the others are how services wake each other.
    ``is_compacted``: of each key, the broker keeps the latest message for the whole retention; older ones may go.
    """

    suffix: str
    key: str
    why_that_key: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    messages: tuple[type[Message], ...]
    partitions: int
    retention: timedelta
    is_public: bool = False
    is_compacted: bool = False

    def name(self, prefix: str = DEFAULT_PREFIX) -> str:
        return f"{prefix}.{self.suffix}"

    def dead_letter_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        return f"{self.name(prefix)}.dlq"


RUN_REQUESTS = Topic(
    suffix="run-requests.v1",
    key="ingestion_id",
    why_that_key="requests of one ingestion stay in order and meet in one scanner",
    writers=("api",),
    readers=("scanner",),
    messages=(RunRequested,),
    partitions=6,
    retention=timedelta(days=7),
)
FILE_BATCHES = Topic(
    suffix="file-batches.v1",
    key="batch_id",
    why_that_key="batches are independent: spread them over all executors",
    writers=("scanner", "executor"),
    readers=("executor",),
    messages=(FileBatchPlanned,),
    partitions=12,
    retention=timedelta(days=7),
)
BACKFILL_REQUESTS = Topic(
    suffix="backfill-requests.v1",
    key="ingestion_id",
    why_that_key="requests of one ingestion stay in order; apart from RUN_REQUESTS, which must not wait behind them",
    writers=("api",),
    readers=("scanner",),
    messages=(RunRequested,),
    partitions=6,
    retention=timedelta(days=7),
)
BACKFILL_BATCHES = Topic(
    suffix="backfill-batches.v1",
    key="batch_id",
    why_that_key="as FILE_BATCHES, which must not wait behind the batches of a backfill",
    writers=("scanner", "executor"),
    readers=("executor",),
    messages=(FileBatchPlanned,),
    partitions=12,
    retention=timedelta(days=7),
)
RUN_STATUS = Topic(
    suffix="run-status.v1",
    key="run_id",
    why_that_key="the facts of one run are read in the order in which they became true",
    writers=("scanner", "executor"),
    readers=("api", "anybody who wants to follow runs"),
    messages=RUN_FACTS,
    partitions=6,
    retention=timedelta(days=7),
    is_public=True,
)
RUN_STATE = Topic(
    suffix="run-state.v1",
    key="run_id",
    why_that_key="compaction keeps the latest state of each run",
    writers=("api",),
    readers=("anybody who comes late",),
    messages=(RunState,),
    partitions=6,
    retention=timedelta(days=90),
    is_public=True,
    is_compacted=True,
)
TABLE_COMMANDS = Topic(
    suffix="table-commands.v1",
    key="ingestion_id",
    why_that_key="commands on one table are obeyed in the order in which they were given",
    writers=("api",),
    readers=("executor",),
    messages=(AuditIngestion, RebuildLedger, FillColumns, RefreshTable),
    partitions=6,
    retention=timedelta(days=7),
)
CLUSTER_COMMANDS = Topic(
    suffix="cluster-commands.v1",
    key="cluster_id",
    why_that_key="any will do; apart from TABLE_COMMANDS, since a look at a cluster must not wait behind a refresh",
    writers=("api",),
    readers=("executor",),
    messages=(CheckCluster,),
    partitions=6,
    retention=timedelta(days=7),
)
TABLE_STATUS = Topic(
    suffix="table-status.v1",
    key="ingestion_id",
    why_that_key="what became of one table is read in the order in which it became true",
    writers=("executor",),
    readers=("api", "anybody who wants to know when a table begins anew"),
    messages=(TableRefreshed, TableRefreshFailed),
    partitions=6,
    retention=timedelta(days=7),
    is_public=True,
)
COMPLETENESS = Topic(
    suffix="completeness.v1",
    key="ingestion_id",
    why_that_key="what is known of one source is read in the order in which it became known",
    writers=("api",),
    readers=("anybody who waits for a table to be complete",),
    messages=(WatermarkAdvanced, ExpectedFileMissing, ExpectedFileArrived),
    partitions=6,
    retention=timedelta(days=7),
    is_public=True,
)
S3_NOTIFICATIONS = Topic(
    suffix="s3-notifications",
    key="bucket/key",
    why_that_key="the bucket chooses it: news of one object stay in order; what comes over HTTP is spread by its text",
    writers=("the bucket", "api"),
    readers=("scanner",),
    messages=(),
    partitions=6,
    retention=timedelta(days=7),
)

CATALOGUE: tuple[Topic, ...] = (
    RUN_REQUESTS, FILE_BATCHES, BACKFILL_REQUESTS, BACKFILL_BATCHES, RUN_STATUS, RUN_STATE, TABLE_COMMANDS,
    CLUSTER_COMMANDS, TABLE_STATUS, COMPLETENESS, S3_NOTIFICATIONS,
)  # fmt: skip

REQUESTS_OF: Mapping[Lane, Topic] = {"fresh": RUN_REQUESTS, "backfill": BACKFILL_REQUESTS}
BATCHES_OF: Mapping[Lane, Topic] = {"fresh": FILE_BATCHES, "backfill": BACKFILL_BATCHES}
