"""The first tables: what users defined and asked for (control), and which file went where (ledger)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIMESTAMPTZ = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    _create_control()
    _create_ledger()


def downgrade() -> None:
    """Back to an empty database; everything that was recorded is lost."""
    for table in ("batch_attempt", "batch", "schema_version", "scan", "file"):
        op.drop_table(table, schema="ledger")
    for table in ("run_error", "secret", "run", "outbox", "ingestion", "inbox", "idempotency", "audit"):
        op.drop_table(table, schema="control")


def _create_control() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False, comment="ingestion.created, ingestion.updated, run.requested, …"),
        sa.Column("subject_id", sa.Uuid, nullable=False),
        sa.Column("details", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("destructive", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        schema="control",
        comment="Who changed what, and when.",
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("request_digest", sa.LargeBinary, nullable=False, comment="sha256 of method, path and body"),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name="pk_idempotency"),
        schema="control",
        comment="Answers given to POSTs that carried an Idempotency-Key.",
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], schema="control")
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.Text, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("received_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "event_id", name="pk_inbox"),
        schema="control",
        comment="Event ids that a consumer has already taken in, with its effect, in one transaction.",
    )
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"], schema="control")
    op.create_table(
        "ingestion",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, comment="draft, active, paused or error"),
        sa.Column("generation", sa.Integer, server_default="1", nullable=False, comment="grows with every refresh"),
        sa.Column("definition_version", sa.Integer, server_default="1", nullable=False),
        sa.Column("definition", JSONB, nullable=False, comment="contracts.definition.Definition, without secrets"),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("deleted_at", TIMESTAMPTZ, comment="set instead of removing the row: the ledger refers to it"),
        sa.PrimaryKeyConstraint("id", name="pk_ingestion"),
        schema="control",
    )
    op.create_index("ix_ingestion_tenant_created", "ingestion", ["tenant_id", "created_at"], schema="control")
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        schema="control",
        comment="Messages that are true but not sent yet; the relay deletes a row once the broker has it.",
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("status", sa.Text, server_default="accepted", nullable=False),
        sa.Column("seq", sa.Integer, server_default="0", nullable=False, comment="highest run-status seq folded in"),
        sa.Column("definition_version", sa.Integer, nullable=False),
        sa.Column("definition", JSONB, nullable=False, comment="frozen when the run was accepted"),
        sa.Column("totals", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("snapshots", ARRAY(sa.BigInteger), server_default=sa.text("'{}'::bigint[]"), nullable=False),
        sa.Column("warnings", ARRAY(sa.Text), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("dispatched_at", TIMESTAMPTZ, comment="null while queued behind the active run"),
        sa.Column("started_at", TIMESTAMPTZ),
        sa.Column("ended_at", TIMESTAMPTZ),
        sa.ForeignKeyConstraint(["ingestion_id"], ["control.ingestion.id"], name="fk_run_ingestion_id_ingestion"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        schema="control",
    )
    op.create_index("ix_run_ingestion_created", "run", ["ingestion_id", "created_at"], schema="control")
    op.create_index(
        "uq_run_active",
        "run",
        ["ingestion_id"],
        unique=True,
        schema="control",
        postgresql_where=sa.text("ended_at IS NULL AND dispatched_at IS NOT NULL"),
    )
    op.create_index(
        "uq_run_queued",
        "run",
        ["ingestion_id"],
        unique=True,
        schema="control",
        postgresql_where=sa.text("ended_at IS NULL AND dispatched_at IS NULL"),
    )
    op.create_table(
        "secret",
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False, comment="AES-GCM: nonce, then ciphertext; see secrets.py"),
        sa.Column("updated_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["ingestion_id"], ["control.ingestion.id"], name="fk_secret_ingestion_id_ingestion"),
        sa.PrimaryKeyConstraint("ingestion_id", name="pk_secret"),
        schema="control",
    )
    op.create_table(
        "run_error",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("error_type", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, server_default="", nullable=False),
        sa.Column("file", sa.Text, server_default="", nullable=False),
        sa.Column("line", sa.BigInteger),
        sa.Column("occurred_at", TIMESTAMPTZ, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["control.run.id"], name="fk_run_error_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_run_error"),
        schema="control",
    )
    op.create_index(
        "uq_run_error_problem",
        "run_error",
        ["run_id", "error_type", sa.text("md5(file)"), "line", sa.text("md5(message)")],
        unique=True,
        postgresql_nulls_not_distinct=True,
        schema="control",
    )


def _create_ledger() -> None:
    op.create_table(
        "file",
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column(
            "key_digest", sa.LargeBinary, nullable=False, comment="sha256(bucket NUL key): keys may have 1,024 bytes"
        ),
        sa.Column("version_tag", sa.Text, nullable=False, comment="versionId, or etag:size"),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("last_modified", TIMESTAMPTZ, nullable=False, comment="a hint, never a cursor"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("run_id", sa.Uuid, nullable=False, comment="the run that saw it last as new"),
        sa.Column("batch_id", sa.Uuid),
        sa.Column("row_count", sa.BigInteger, comment="rows in the table, known from the audit on"),
        sa.Column("error_type", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("discovered_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("ingestion_id", "generation", "key_digest", "version_tag", name="pk_file"),
        schema="ledger",
    )
    op.create_index("ix_file_batch_id", "file", ["batch_id"], schema="ledger")
    op.create_index(
        "uq_file_live_key",
        "file",
        ["ingestion_id", "generation", "key_digest"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("state IN ('baseline', 'batched', 'committed', 'discovered', 'quarantined')"),
    )
    op.create_table(
        "scan",
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", TIMESTAMPTZ),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("seq", sa.Integer, server_default="0", nullable=False, comment="last run-status seq given out"),
        sa.Column(
            "totals", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False, comment="contracts.events.Totals"
        ),
        sa.Column("outcome", sa.Text),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("ended_at", TIMESTAMPTZ),
        sa.PrimaryKeyConstraint("run_id", name="pk_scan"),
        schema="ledger",
        comment="The ledger's side of a run: its listing, its numbers, and the counter that orders its events.",
    )
    op.create_index(
        "ix_scan_unfinished", "scan", ["lease_until"], schema="ledger", postgresql_where=sa.text("state <> 'ended'")
    )
    op.create_table(
        "schema_version",
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("columns", JSONB, nullable=False, comment="[{name, type}] in table order"),
        sa.Column(
            "added", JSONB, server_default=sa.text("'[]'::jsonb"), nullable=False, comment="names new in this version"
        ),
        sa.Column("batch_id", sa.Uuid, nullable=False, comment="the batch whose files brought the change"),
        sa.Column("cause_key", sa.Text, comment="a file that had the new fields"),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("ingestion_id", "generation", "version", name="pk_schema_version"),
        schema="ledger",
    )
    op.create_table(
        "batch",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column(
            "token", sa.BigInteger, server_default="0", nullable=False, comment="fencing: grows with every claim"
        ),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", TIMESTAMPTZ, comment="on the database's clock"),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column(
            "may_be_staged",
            sa.Boolean,
            server_default=sa.text("false"),
            nullable=False,
            comment="an attempt reached Spark",
        ),
        sa.Column("file_count", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("snapshot_id", sa.BigInteger, comment="as published, read back from the table"),
        sa.Column("row_count", sa.BigInteger),
        sa.Column("bytes_written", sa.BigInteger),
        sa.Column("replaces", sa.Uuid, comment="the burned batch whose good files this one carries on"),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["ledger.scan.run_id"], name="fk_batch_run_id_scan"),
        sa.PrimaryKeyConstraint("id", name="pk_batch"),
        schema="ledger",
    )
    op.create_index("ix_batch_run_id", "batch", ["run_id"], schema="ledger")
    op.create_index(
        "ix_batch_unfinished",
        "batch",
        ["lease_until"],
        schema="ledger",
        postgresql_where=sa.text("state NOT IN ('published', 'burned')"),
    )
    op.create_table(
        "batch_attempt",
        sa.Column("batch_id", sa.Uuid, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("started_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("ended_at", TIMESTAMPTZ),
        sa.Column("outcome", sa.Text, comment="published, burned, released or null when its executor vanished"),
        sa.Column("error", sa.Text),
        sa.ForeignKeyConstraint(["batch_id"], ["ledger.batch.id"], name="fk_batch_attempt_batch_id_batch"),
        sa.PrimaryKeyConstraint("batch_id", "token", name="pk_batch_attempt"),
        schema="ledger",
    )
