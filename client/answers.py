"""What the API answers, as frozen values: the fields that clients here read. Answers may carry more."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from libs.common.contracts.events import Problem
from libs.common.contracts.reports import AuditReport, RebuildReport

FINAL_STATUSES = frozenset({"success", "partial", "failed", "cancelled"})


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DestinationName(_Answer):
    catalog: str
    database: str
    table: str

    @property
    def identifier(self) -> str:
        return f"{self.catalog}.{self.database}.{self.table}"


class SourcePath(_Answer):
    path: str


class Ingestion(_Answer):
    id: UUID
    name: str
    status: str
    cluster_id: str
    source: SourcePath
    destination: DestinationName
    created_at: datetime


class Accepted(_Answer):
    """A run was asked for; it has begun or waits for the one before it."""

    run_id: UUID
    status: str


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


class Progress(_Answer):
    files_discovered: int = 0
    files_done: int = 0
    batches_planned: int = 0
    batches_done: int = 0


class Metrics(_Answer):
    files_processed: int = 0
    files_skipped: int = 0
    records_ingested: int = 0
    bytes_read: int = 0
    duration_seconds: float | None = None
    error_count: int = 0


class RunError(_Answer):
    file: str | None = None
    error_type: str
    message: str
    line: int | None = None


class Run(_Answer):
    id: UUID
    ingestion_id: UUID
    status: str
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
