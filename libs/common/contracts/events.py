"""The vocabulary. Frozen models, no behaviour; wire names are dotted, with an integer version.

A message only wakes somebody. It carries ids, counts and bytes; lists of files stay in the ledger.
Events on the run-status topic carry the run's totals *as of that event*, so a reader that has seen the
highest ``seq`` knows the run's numbers even when others were lost or came out of order.
"""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

RunOutcome = Literal["success", "partial", "failed", "cancelled"]
Guarantee = Literal["exactly_once", "effectively_once"]
RefreshMode = Literal["full", "new_only", "swap", "undo", "clear_history", "delete", "delete_with_table"]
"""What a refresh is for; docs/explanation/refresh.md says what each of them does."""
RefreshStrategy = Literal["drop", "swap"]
"""How a table begins anew: in the place of the old one at once, or beside it until it is loaded."""
RefreshPhase = Literal["requested", "fenced", "burned", "dropped", "created", "carried", "ended"]
"""How far a refresh is; docs/explanation/refresh.md says what is true in each phase."""


class Message(BaseModel):
    """Base of every payload. ``wire_type`` and ``wire_version`` become the CloudEvents ``type``.

    Readers ignore fields that they do not know: fields are added, never re-purposed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    wire_type: ClassVar[str]
    wire_version: ClassVar[int] = 1


class Problem(BaseModel):
    """Something that went wrong, in the user's words. Never holds a credential."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    error_type: str = Field(description="Stable word, such as bucket_not_found or unparsable_file.")
    message: str = Field(description="What happened, to what.")
    hint: str = Field(default="", description="What to do next.")
    file: str | None = Field(default=None, description="s3://bucket/key, when one file is to blame.")
    line: int | None = Field(default=None, description="1-based line of the first bad record, when known.")


class Totals(BaseModel):
    """Cumulative numbers of one run, as of the event that carries them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    files_discovered: int = Field(default=0, description="Files that this run found new.")
    files_skipped: int = Field(default=0, description="Matching files that the ledger already had.")
    files_done: int = Field(default=0, description="Files committed to the table by this run.")
    files_failed: int = Field(default=0, description="Files that this run could not load.")
    batches_planned: int = 0
    batches_done: int = Field(default=0, description="Batches published or burned.")
    records_ingested: int = 0
    records_quarantined: int = 0
    bytes_read: int = Field(default=0, description="Size of the committed source files, in bytes.")
    bytes_written: int = Field(default=0, description="Size of the data files added to the table, in bytes.")
    schema_version: int | None = Field(default=None, description="Version of the table's schema after this event.")


# --- autoloader.run-requests ------------------------------------------------------------------------------


class RunRequested(Message):
    """The API wants this run to happen. Repeated until the run has a scan."""

    wire_type = "run.requested"

    run_id: UUID
    ingestion_id: UUID
    generation: int
    tenant_id: str
    trigger: str


# --- autoloader.file-batches ------------------------------------------------------------------------------


class FileBatchPlanned(Message):
    """A batch waits in the ledger for an executor."""

    wire_type = "file-batch.planned"

    batch_id: UUID
    run_id: UUID
    ingestion_id: UUID
    generation: int
    file_count: int
    size_bytes: int


# --- autoloader.table-commands ----------------------------------------------------------------------------


class AuditIngestion(Message):
    """Compare bucket, ledger and table. The order waits under ``request_id``; a sweeper finds it if this is lost."""

    wire_type = "ingestion.audit"

    request_id: UUID
    ingestion_id: UUID


class RebuildLedger(Message):
    """Bring the ledger up to what the table proves. As ``AuditIngestion``."""

    wire_type = "ledger.rebuild"

    request_id: UUID
    ingestion_id: UUID


class FillColumns(Message):
    """Fill columns of a table from what was rescued beside its rows. As ``AuditIngestion``."""

    wire_type = "columns.fill"

    request_id: UUID
    ingestion_id: UUID


class RefreshTable(Message):
    """The API wants this refresh to happen. Repeated until it has ended."""

    wire_type = "table.refresh"

    refresh_id: UUID
    ingestion_id: UUID
    mode: RefreshMode
    from_generation: int
    to_generation: int
    undoes: UUID | None = Field(
        default=None,
        description="The refresh whose old table an undo brings back, or whose built table a deletion gives up.",
    )
    strategy: RefreshStrategy = Field(
        default="drop", description="swap: the old table stays in its place, and a new one is built aside."
    )
    completes: UUID | None = Field(
        default=None, description="The refresh whose built table takes the old one's place; null unless swap."
    )


# --- autoloader.cluster-commands --------------------------------------------------------------------------


class CheckCluster(Message):
    """See whether a cluster can be reached and used. The order waits under ``request_id``; a sweeper finds it if
    this is lost."""

    wire_type = "cluster.check"

    request_id: UUID
    cluster_id: str


# --- autoloader.run-status --------------------------------------------------------------------------------


class RunFact(Message):
    """Something that is now true of a run. ``seq`` counts the run's facts from 1 without a gap."""

    run_id: UUID
    ingestion_id: UUID
    generation: int
    seq: int = Field(ge=1)
    occurred_at: datetime
    totals: Totals


class ScanStarted(RunFact):
    """A scanner has begun to list the source; after a crash, another one says so again."""

    wire_type = "scan.started"

    attempt: int = Field(description="1 for the first scanner; more after a takeover.")


class ScanProgress(RunFact):
    """Another page of the listing is in the ledger."""

    wire_type = "scan.progress"

    problems: tuple[Problem, ...] = Field(default=(), description="Files that were refused, as in an unreadable key.")


class ScanCompleted(RunFact):
    """The whole source was listed; no more batches of new files will be planned for this run."""

    wire_type = "scan.completed"

    warnings: tuple[str, ...] = ()


class ScanFailed(RunFact):
    """The source could not be listed to its end. Batches that were planned before go on."""

    wire_type = "scan.failed"

    problem: Problem


class FileBatchCommitted(RunFact):
    """The batch's rows are visible in the table, and the ledger says so."""

    wire_type = "file-batch.committed"

    batch_id: UUID
    snapshot_id: int
    files: int
    records: int
    records_quarantined: int = Field(default=0, description="Records of its files that stand in the quarantine.")
    problems: tuple[Problem, ...] = Field(
        default=(), description="Its files with quarantined records, the first of them; the ledger has all."
    )
    size_bytes: int
    guarantee: Guarantee = Field(
        default="exactly_once",
        description="effectively_once: the table refuses staging (write.wap.enabled), so the batch was looked for, and "
        "then appended; an executor that is frozen between the two and wakes up much later could append it again.",
    )
    warnings: tuple[str, ...] = Field(default=(), description="What the user should know of the table, in words.")


class FileBatchFailed(RunFact):
    """The batch was burned: none of it is in the table. Its good files may go on in another batch."""

    wire_type = "file-batch.failed"

    batch_id: UUID
    problems: tuple[Problem, ...] = Field(description="The first of them; the ledger has all.")
    files_failed: int
    files_replanned: int


class RunCompleted(RunFact):
    """The run is over. Nothing follows."""

    wire_type = "run.completed"

    outcome: RunOutcome


# --- autoloader.run-state ---------------------------------------------------------------------------------


class RunState(Message):
    """A run as it is now: the whole of it, after each change. The highest ``revision`` of a run is its latest state."""

    wire_type = "run.state"

    run_id: UUID
    ingestion_id: UUID
    tenant_id: str
    generation: int
    revision: int = Field(ge=1, description="Grows with every change of the run, by one.")
    seq: int = Field(ge=0, description="The highest seq of its facts that is in this; 0: none yet. Never falls.")
    status: str = Field(description="accepted, running; in the end success, partial, failed or cancelled.")
    queued: bool = Field(description="It waits for the run before it.")
    trigger: str = Field(description="Why it was asked for, as in manual, schedule or event.")
    lane: str = Field(description="fresh or backfill.")
    table: str = Field(description="What it loads, as catalog.database.table.")
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    retry_of: UUID | None = Field(default=None, description="The run whose failures this one reads again.")
    totals: Totals
    snapshot_count: int = Field(default=0, description="How many snapshots of the table it has published.")
    error_count: int = 0
    problems: tuple[Problem, ...] = Field(default=(), description="The first five of its errors; REST has all.")
    warnings: tuple[str, ...] = Field(default=(), description="The first five; REST has all.")


# --- autoloader.table-status ------------------------------------------------------------------------------


class TableRefreshed(Message):
    """The new generation's table is ready. Its first run may begin."""

    wire_type = "table.refreshed"

    refresh_id: UUID
    ingestion_id: UUID
    from_generation: int
    to_generation: int
    occurred_at: datetime
    kept_as: str | None = Field(description="Where the old table is now; null if there was none.")
    files_loaded_before: int = Field(description="Files that the old generation had loaded, or had from before.")
    files_kept: int = Field(
        description="How many of them count as loaded in the new generation: they are not read again."
    )
    builds: str | None = Field(
        default=None, description="The table that is built aside, and that runs load until it is complete."
    )
    replaced_snapshot: int | None = Field(
        default=None, description="The snapshot with the rows that gave way to others; -1: the table had none."
    )
    rows: int | None = Field(default=None, description="How many rows took their place.")


class TableRefreshFailed(Message):
    """A refresh met something that it cannot pass."""

    wire_type = "table.refresh-failed"

    refresh_id: UUID
    ingestion_id: UUID
    occurred_at: datetime
    phase: RefreshPhase = Field(description="How far it is.")
    problem: Problem
    is_over: bool = Field(description="True: nothing was changed. False: it is tried again until it succeeds.")


# --- autoloader.completeness ------------------------------------------------------------------------------


class WatermarkAdvanced(Message):
    """Everything that the store had before a later time is loaded, set aside, or left out by the definition."""

    wire_type = "watermark.advanced"

    ingestion_id: UUID
    tenant_id: str
    generation: int
    watermark: datetime = Field(description="It only grows within a generation.")
    listed_from: datetime = Field(description="When the listing of the whole source began that it rests on.")
    occurred_at: datetime


class ExpectedFiles(Message):
    """Of one period of one rule about files that should come (``quality.expected_arrivals``)."""

    ingestion_id: UUID
    tenant_id: str
    rule: str = Field(description="Its name.")
    pattern: str = Field(description="Of the period's keys, below the source's path.")
    begins: datetime
    ends: datetime
    expected: int = Field(description="How many files the period should have.")
    occurred_at: datetime


class ExpectedFileMissing(ExpectedFiles):
    """The period and its grace time are over, and its files have not come. Told once."""

    wire_type = "file.expected_missing"

    found: int = Field(description="How many of them are there.")


class ExpectedFileArrived(ExpectedFiles):
    """Files that were told as missing are there now."""

    wire_type = "file.expected_arrived"

    missed_at: datetime = Field(description="When they were told as missing.")


RUN_FACTS: tuple[type[RunFact], ...] = (
    ScanStarted, ScanProgress, ScanCompleted, ScanFailed, FileBatchCommitted, FileBatchFailed, RunCompleted,
)  # fmt: skip

MESSAGES: tuple[type[Message], ...] = (
    RunRequested, FileBatchPlanned, AuditIngestion, RebuildLedger, FillColumns, CheckCluster, *RUN_FACTS,
    RunState, RefreshTable, TableRefreshed, TableRefreshFailed, WatermarkAdvanced, ExpectedFileMissing,
    ExpectedFileArrived,
)  # fmt: skip
