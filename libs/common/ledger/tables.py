"""Tables of the ``ledger`` schema. One row per ingestion, file version, batch, attempt, scan and schema
version."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from libs.common.ledger.states import LIVE_FILE_STATES, FileState
from libs.common.storage.metadata import metadata

SCHEMA = "ledger"

UNFINISHED_FILE_STATES = frozenset({FileState.DISCOVERED, FileState.BATCHED, FileState.FAILED, FileState.MISSING})
"""Neither loaded nor set aside, unless a later version of the key came."""

_live = ", ".join(f"'{state}'" for state in sorted(LIVE_FILE_STATES))

_unfinished = ", ".join(f"'{state}'" for state in sorted(UNFINISHED_FILE_STATES))

ingestion = Table(
    "ingestion",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("generation", Integer, nullable=False, comment="the generation whose batches may be published"),
    Column("halt_code", Text, comment="set while ledger and table disagree: nothing is loaded until somebody decided"),
    Column("halt_message", Text),
    Column("halt_hint", Text),
    Column("halted_at", DateTime(timezone=True)),
    schema=SCHEMA,
    comment="What holds for an ingestion as a whole. The row is made by its first scan.",
)

file = Table(
    "file",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True, comment="sha256(bucket NUL key): keys may have 1,024 bytes"),
    Column("version_tag", Text, primary_key=True, comment="versionId, or etag:size"),
    Column("bucket", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("last_modified", DateTime(timezone=True), nullable=False, comment="a hint, never a cursor"),
    Column("state", Text, nullable=False),
    Column("run_id", Uuid, nullable=False, comment="the run that saw it last as new"),
    Column("batch_id", Uuid),
    Column("row_count", BigInteger, comment="rows in the table, known from the audit on"),
    Column(
        "overwritten",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="loaded, and a later version of the key was taken beside it (allow_overwrites: append)",
    ),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("discovered_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # I1 where no race can break it: one live version of a key, and those that it was added beside.
    Index(
        "uq_file_live_key",
        "ingestion_id",
        "generation",
        "key_digest",
        unique=True,
        postgresql_where=text(f"state IN ({_live}) AND NOT overwritten"),
    ),
    Index("ix_file_batch_id", "batch_id"),
    # What a run has taken when its listing begins again, and its files as the API shows them.
    Index("ix_file_run_id", "run_id"),
    # Newest first, as the API shows all files.
    Index("ix_file_discovered_at", "ingestion_id", "generation", "discovered_at"),
    # What is unfinished, oldest first, holds the watermark back.
    Index(
        "ix_file_unfinished",
        "ingestion_id",
        "generation",
        "last_modified",
        postgresql_where=text(f"state IN ({_unfinished})"),
    ),
    # What is not loaded is little, and asked for often: retries, reloads of what failed, takeovers.
    Index(
        "ix_file_not_loaded",
        "ingestion_id",
        "generation",
        "run_id",
        postgresql_where=text("state IN ('discovered', 'failed', 'missing')"),
    ),
    schema=SCHEMA,
)

watermark = Table(
    "watermark",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column(
        "listed_from",
        DateTime(timezone=True),
        nullable=False,
        comment="when the latest listing of the whole source began that came to its end",
    ),
    Column("up_to", DateTime(timezone=True), comment="the watermark as stated; it never falls"),
    Column("advanced_at", DateTime(timezone=True)),
    schema=SCHEMA,
    comment="Up to when everything of a source is loaded, set aside or left out: see libs/common/completeness.",
)

settled_break = Table(
    "settled_break",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column(
        "transaction",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        server_default=text("((pg_current_xact_id())::text)::bigint"),
        comment="one break for each, however many rows it changed",
    ),
    Column(
        "mark",
        BigInteger,
        nullable=False,
        server_default=text("hashtextextended((gen_random_uuid())::text, (0)::bigint)"),
        comment="random",
    ),
    schema=SCHEMA,
    comment="Each time that something loaded ceased to be, or another version was taken beside it: by a trigger.",
)

settled_stretch = Table(
    "settled_stretch",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("fingerprint", LargeBinary, primary_key=True, comment="of what the store told, and of what was wanted"),
    Column("epoch", BigInteger, nullable=False, comment="in which it was found settled"),
    Column("objects", Integer, nullable=False),
    Column("named", Integer, nullable=False, comment="of these, wanted by name"),
    Column("of_age", Integer, nullable=False, comment="of these, wanted by their age; all settled"),
    Column("seen_on", Date, nullable=False, server_default=func.current_date()),
    schema=SCHEMA,
    comment="Stretches of listings in which a scan had nothing to do: see libs/common/ledger/settled.py.",
)

batch = Table(
    "batch",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("run_id", Uuid, ForeignKey("ledger.scan.run_id"), nullable=False),
    Column("ingestion_id", Uuid, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("token", BigInteger, nullable=False, server_default="0", comment="fencing: grows with every claim"),
    Column("owner", Text),
    Column("lease_until", DateTime(timezone=True), comment="on the database's clock"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("may_be_staged", Boolean, nullable=False, server_default=text("false"), comment="an attempt reached Spark"),
    Column(
        "publish_base",
        BigInteger,
        comment="current snapshot right before the latest publish went out; -1: none",
    ),
    Column("file_count", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("snapshot_id", BigInteger, comment="as published, read back from the table"),
    Column("row_count", BigInteger),
    Column("bytes_written", BigInteger),
    Column("replaces", Uuid, comment="the burned batch whose good files this one carries on"),
    Column("lane", Text, nullable=False, server_default="fresh", comment="its run's"),
    Column("last_error", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column(
        "replaces_rows",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="its files are in ledger.replacement: their rows are in the table, and others take their place",
    ),
    Column(
        "rows_removed",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="rows of earlier batches that its publish took out of the table",
    ),
    Column(
        "records_quarantined",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="records of its files that its audit found bad: ledger.quarantined has them by file",
    ),
    Index("ix_batch_run_id", "run_id"),
    Index(
        "ix_batch_unfinished",
        "lease_until",
        postgresql_where=text("state NOT IN ('published', 'burned')"),
    ),
    schema=SCHEMA,
)

quarantined = Table(
    "quarantined",
    metadata,
    Column("batch_id", Uuid, ForeignKey("ledger.batch.id"), primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True, comment="sha256(bucket NUL key)"),
    Column(
        "version_tag",
        Text,
        primary_key=True,
        server_default="",
        comment="which version of the key, in the batch of a swap; empty: the only one that the batch has",
    ),
    Column("ingestion_id", Uuid, nullable=False),
    Column("records", BigInteger, nullable=False, comment="of this file, in the quarantine if the batch is published"),
    Column("first", JSONB, nullable=False, comment="[{line, reason, raw}], a few; the quarantine has all"),
    Column("origin", Uuid, comment="the batch that set them aside, where a swap's stands for it in the ledger"),
    Index("ix_quarantined_ingestion_id", "ingestion_id", "batch_id"),
    schema=SCHEMA,
    comment="Files of batches with bad records. They count for a file while this batch is the one that loaded it.",
)

replacement = Table(
    "replacement",
    metadata,
    Column("batch_id", Uuid, ForeignKey("ledger.batch.id"), primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True, comment="sha256(bucket NUL key)"),
    Column("ingestion_id", Uuid, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("run_id", Uuid, nullable=False),
    Column("version_tag", Text, nullable=False, comment="the version whose rows shall be in the table"),
    Column("bucket", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("last_modified", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, comment="batched, or how it ended: see libs/common/ledger/states"),
    Column("row_count", BigInteger),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # I1 for reloads: a key's rows are replaced by one batch at a time.
    Index(
        "uq_replacement_live_key",
        "ingestion_id",
        "generation",
        "key_digest",
        unique=True,
        postgresql_where=text("state = 'batched'"),
    ),
    # Given up, and not tried again yet: few, and they hold the watermark back.
    Index("ix_replacement_given_up", "ingestion_id", "generation", postgresql_where=text("state = 'discovered'")),
    Index("ix_replacement_run_id", "run_id", "key_digest"),
    schema=SCHEMA,
    comment="File versions on their way into the table in the place of rows that are there. ledger.file knows the "
    "rows that are there until the batch is published.",
)

batch_attempt = Table(
    "batch_attempt",
    metadata,
    Column("batch_id", Uuid, ForeignKey("ledger.batch.id"), primary_key=True),
    Column("token", BigInteger, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    Column("outcome", Text, comment="published, burned, released or null when its executor vanished"),
    Column("error", Text),
    schema=SCHEMA,
)

scan = Table(
    "scan",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("ingestion_id", Uuid, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("token", BigInteger, nullable=False, server_default="0"),
    Column("owner", Text),
    Column("lease_until", DateTime(timezone=True)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("seq", Integer, nullable=False, server_default="0", comment="last run-status seq given out"),
    Column("totals", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="contracts.events.Totals"),
    Column("outcome", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    Column(
        "cancelled_at",
        DateTime(timezone=True),
        comment="from then on nothing is planned for the run, and its batches burn",
    ),
    Column(
        "was_listed",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="the source was listed to its end",
    ),
    Column(
        "aborted_at",
        DateTime(timezone=True),
        comment="on_error abort met a bad record: from then on nothing is planned or published for the run",
    ),
    Index("ix_scan_unfinished", "lease_until", postgresql_where=text("state <> 'ended'")),
    schema=SCHEMA,
    comment="The ledger's side of a run: its listing, its numbers, and the counter that orders its events.",
)

schema_version = Table(
    "schema_version",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("columns", JSONB, nullable=False, comment="[{name, type}] in table order"),
    Column("added", JSONB, nullable=False, server_default=text("'[]'::jsonb"), comment="names new in this version"),
    Column("batch_id", Uuid, nullable=False, comment="the batch whose files brought the change"),
    Column("cause_key", Text, comment="a file that had the new fields"),
    Column("run_id", Uuid, comment="the run of that batch"),
    Column("mode", Text, comment="the schema_evolution_mode that let it happen"),
    Column(
        "changes",
        JSONB,
        nullable=False,
        server_default=text("'[]'::jsonb"),
        comment="[{kind, column, type, before, file, example}] against the version before",
    ),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    schema=SCHEMA,
)

column_decision = Table(
    "column_decision",
    metadata,
    Column("ingestion_id", Uuid, primary_key=True),
    Column("column", Text, primary_key=True, comment="its path as people write it: meta.ts"),
    Column("state", Text, nullable=False, comment="held, approved, rejected"),
    Column("type", Text, nullable=False, comment="what it would become"),
    Column("file", Text, comment="one that has it"),
    Column("example", Text, comment="a value of it in that file, as JSON"),
    Column("run_id", Uuid, comment="the run that met it first"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_by", Text),
    schema=SCHEMA,
    comment="Which fields may become columns, as somebody decided or has to decide. It holds for all generations.",
)


audit = Table(
    "audit",
    metadata,
    Column("id", Uuid, primary_key=True, comment="control.reconciliation"),
    Column("ingestion_id", Uuid, nullable=False),
    Column("state", Text, nullable=False, comment="running, done or failed"),
    Column("token", BigInteger, nullable=False, server_default="0", comment="fencing: grows with every claim"),
    Column("owner", Text),
    Column("lease_until", DateTime(timezone=True), comment="on the database's clock"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("report", JSONB, comment="contracts.reports"),
    Column("problem", JSONB, comment="contracts.events.Problem"),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    schema=SCHEMA,
    comment="Audits, rebuilds of the ledger and fills of columns: who works on them, and what they found.",
)

cluster_check = Table(
    "cluster_check",
    metadata,
    Column("id", Uuid, primary_key=True, comment="control.cluster_check"),
    Column("owner", Text, nullable=False, comment="the executor that looked"),
    Column("report", JSONB, comment="contracts.reports"),
    Column("problem", JSONB, comment="contracts.events.Problem"),
    Column("ended_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    schema=SCHEMA,
    comment="What executors found at clusters. A row is written once.",
)

refresh = Table(
    "refresh",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ingestion_id", Uuid, nullable=False),
    Column("mode", Text, nullable=False),
    Column("from_generation", Integer, nullable=False),
    Column("to_generation", Integer, nullable=False),
    Column("undoes", Uuid, comment="the refresh whose old table comes back"),
    Column("phase", Text, nullable=False, comment="contracts.events.RefreshPhase"),
    Column("token", BigInteger, nullable=False, server_default="0"),
    Column("owner", Text),
    Column("lease_until", DateTime(timezone=True)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("kept_as", Text, comment="where the old table is now; null if there was none"),
    Column("metadata_location", Text, comment="of the old table, from which it can be registered again"),
    Column("strategy", Text, nullable=False, server_default="drop", comment="drop or swap"),
    Column("completes", Uuid, comment="the refresh whose built table takes the old one's place"),
    Column("builds", Text, comment="the table that is built aside"),
    Column("snapshot_id", BigInteger, comment="as published: all rows of the table gave way to others"),
    Column("replaced_snapshot", BigInteger, comment="the snapshot before it; -1: the table had none"),
    Column("row_count", BigInteger, comment="of the rows that it put in"),
    Column("bytes_written", BigInteger),
    Column("told_problem", Text, comment="code of the problem that was told last"),
    Column("last_error", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_refresh_unfinished", "lease_until", postgresql_where=text("phase <> 'ended'")),
    schema=SCHEMA,
    comment="The executor's side of a refresh: who works on it, and how far it is.",
)


def storable(words: str) -> str:
    """``words`` without NUL, which Postgres keeps in no text. A key's identity is its digest, never this."""
    return words.replace("\x00", "\N{REPLACEMENT CHARACTER}")
