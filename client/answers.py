"""What the API answers, as frozen values: the fields that clients here read. Answers carry more, and it is kept: what
is printed as JSON is what the API said."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.common.contracts.events import Problem
from libs.common.contracts.reports import AuditReport, FillReport, RebuildReport

FINAL_STATUSES = frozenset({"success", "partial", "failed", "cancelled"})


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class DestinationName(_Answer):
    catalog: str
    database: str
    table: str

    @property
    def identifier(self) -> str:
        return f"{self.catalog}.{self.database}.{self.table}"


class SourcePath(_Answer):
    path: str
    file_pattern: str = "*"


class Ingestion(_Answer):
    id: UUID
    name: str
    status: str
    cluster_id: str
    source: SourcePath
    destination: DestinationName
    definition_version: int = 1
    warnings: tuple[str, ...] = ()
    created_at: datetime


class Tick(_Answer):
    at: datetime
    shown: datetime
    starts_at: datetime


class Schedule(_Answer):
    """When an ingestion runs by itself."""

    is_on: bool
    expression: str | None
    timezone: str
    waiting_since: datetime | None = None
    blocked_by: str | None = None
    ticks: tuple[Tick, ...]


class Accepted(_Answer):
    """A run was asked for; it has begun or waits for the one before it."""

    run_id: UUID
    status: str
    queued: bool = False


class HeldBack(_Answer):
    """A file that holds a watermark back."""

    file: str
    state: str
    why: str
    last_modified: datetime


class Missed(_Answer):
    """A period whose expected files did not come in time."""

    rule: str
    pattern: str
    expected: int
    found: int
    missed_at: datetime
    arrived_at: datetime | None


class Completeness(_Answer):
    """Up to when everything is loaded, and what holds that back."""

    watermark: datetime | None
    lag_s: float | None
    listed_from: datetime | None
    held_by: tuple[HeldBack, ...]
    note: str
    missed: tuple[Missed, ...] = ()


class Predicted(_Answer):
    files: int
    size_bytes: int
    records: int | None
    snapshots: int | None
    duration_seconds: float | None
    cost_usd: float | None


class PlanFile(_Answer):
    key: str
    size_bytes: int
    last_modified: datetime


class ColumnAdded(_Answer):
    name: str
    type: str
    first_file: str


class SchemaChange(_Answer):
    columns_added: tuple[ColumnAdded, ...]
    files_looked_into: int
    is_all: bool


class NextSteps(_Answer):
    to_proceed: str


class Plan(_Answer):
    """What would be loaded, exactly."""

    id: UUID
    kind: str
    predicted: Predicted
    schema_change: SchemaChange
    first_files: tuple[PlanFile, ...]
    files_replacing: int = 0
    files_skipped: int
    files_refused: int
    notes: tuple[str, ...]
    next_steps: NextSteps


class Audit(_Answer):
    """An audit that was asked for; ``report`` when it is done, ``problem`` when it failed."""

    status: str
    problem: Problem | None = None
    report: AuditReport | None = None


class Rebuild(_Answer):
    """A rebuild of the ledger that was asked for. As ``Audit``."""

    status: str
    problem: Problem | None = None
    report: RebuildReport | None = None


class Fill(_Answer):
    """Columns that were to be filled from what was rescued. As ``Audit``."""

    status: str
    problem: Problem | None = None
    report: FillReport | None = None


class Progress(_Answer):
    files_discovered: int = 0
    files_done: int = 0
    batches_planned: int = 0
    batches_done: int = 0


class Metrics(_Answer):
    files_processed: int = 0
    files_skipped: int = 0
    files_failed: int = 0
    records_ingested: int = 0
    bytes_read: int = 0
    duration_seconds: float | None = None
    error_count: int = 0


class RunError(_Answer):
    file: str | None = None
    error_type: str
    message: str
    hint: str = ""
    line: int | None = None


class Run(_Answer):
    id: UUID
    ingestion_id: UUID
    status: str
    trigger: str = "manual"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    waiting_on: str | None = None
    progress: Progress = Progress()
    metrics: Metrics = Metrics()
    errors: tuple[RunError, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status in FINAL_STATUSES


class File(_Answer):
    """One version of a file, as the ledger knows it."""

    uri: str
    key: str
    state: str
    size_bytes: int
    records: int | None = None
    error: str | None = None


class Column(_Answer):
    name: str
    type: str


class ColumnChange(_Answer):
    """What became different in a version, and the file and the value that asked for it, if they are known."""

    kind: str
    column: str
    type: str | None = None
    before: str | None = None
    file: str | None = None
    example: str | None = None


class SchemaVersion(_Answer):
    """The columns of a table as a batch left them."""

    version: int
    columns: tuple[Column, ...]
    changes: tuple[ColumnChange, ...]
    created_at: datetime


class HeldColumn(_Answer):
    """A new column that somebody has to approve or to reject."""

    column: str
    type: str
    file: str | None = None
    example: str | None = None


class Schema(_Answer):
    """The columns of a table now. ``version`` is None before anything is loaded; ``kept`` is what a rollback left."""

    version: int | None
    columns: tuple[Column, ...]
    mode: str
    held: tuple[HeldColumn, ...] = ()
    rejected: tuple[str, ...] = ()
    kept: tuple[ColumnChange, ...] = ()


class Explanation(_Answer):
    """Why a key is in the table or is not."""

    uri: str
    verdict: str
    evidence: tuple[str, ...]
    next_action: str
    versions: tuple[File, ...] = ()


class BadRecord(_Answer):
    """A record that does not fit the table."""

    line: int | None = None
    reason: str
    raw: str | None = None


class Quarantined(_Answer):
    """A file that was loaded without its bad records."""

    file: str
    table: str
    records_loaded: int | None = None
    records_quarantined: int
    first: tuple[BadRecord, ...] = ()


class Operation(_Answer):
    operation: str
    status: str
    details: str = ""
    error: str | None = None


class PlannedOperation(_Answer):
    operation: str
    details: str = ""


class Impact(_Answer):
    files_to_process: int | None = None
    files_skipped: int | None = None


class Refresh(_Answer):
    """What is known of a refresh, or what one would do."""

    status: str
    message: str
    refresh_id: UUID | None = None
    run_id: UUID | None = None
    operations: tuple[Operation, ...] = ()
    would_perform: tuple[PlannedOperation, ...] = ()
    impact: Impact = Impact()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    mode: str = ""
    timestamp: datetime | None = None
    undo_until: datetime | None = None


class Excluded(_Answer):
    reason: str
    count: int
    examples: tuple[str, ...] = ()


class PreviewedFiles(_Answer):
    objects: int
    matching: int
    size_bytes: int
    excluded: tuple[Excluded, ...] = ()


class PreviewedSample(_Answer):
    files: int
    records: int
    bytes_read: int
    seconds: float


class PreviewedColumn(_Answer):
    name: str
    type: str
    null_share: float | None = None
    example: Any = None
    files: int = 0
    first_file: str | None = None


class Advice(_Answer):
    code: str
    message: str
    hint: str


class Preview(_Answer):
    """What an ingestion would find, and make of it."""

    model_config = ConfigDict(frozen=True, extra="allow", serialize_by_alias=True)

    file_count: int
    files: PreviewedFiles
    sample: PreviewedSample
    columns: tuple[PreviewedColumn, ...] = Field(alias="schema")
    sample_rows: tuple[dict[str, Any], ...] = ()
    warnings: tuple[Advice, ...] = ()


class Cluster(_Answer):
    id: str
    spark_connect_url: str


class CatalogSeen(_Answer):
    name: str
    usable: bool
    problem: str | None = None


class ClusterSeen(_Answer):
    spark_version: str
    catalogs: tuple[CatalogSeen, ...] = ()


class ConnectionTest(_Answer):
    """What an executor found at a cluster; ``pending`` as long as none has said anything."""

    test_id: UUID
    cluster_id: str
    spark_connect_url: str
    status: str
    message: str
    report: ClusterSeen | None = None
    problem: Problem | None = None
    ask_again: str | None = None
