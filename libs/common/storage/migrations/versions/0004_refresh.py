"""Refreshes: what was asked for, and how far the executor is with it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIMESTAMPTZ = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "refresh",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("mode", sa.Text, nullable=False, comment="full or new_only"),
        sa.Column("auto_run", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, server_default="accepted", nullable=False, comment="accepted, success or failed"),
        sa.Column("from_generation", sa.Integer, nullable=False),
        sa.Column("to_generation", sa.Integer, nullable=False),
        sa.Column("definition", JSONB, nullable=False, comment="frozen when the refresh was accepted"),
        sa.Column("impact", JSONB, nullable=False, comment="as estimated then"),
        sa.Column("notes", ARRAY(sa.Text), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column(
            "phase", sa.Text, server_default="requested", nullable=False, comment="how far it was when it last failed"
        ),
        sa.Column("problem", JSONB, comment="contracts.events.Problem: why it is not done"),
        sa.Column("kept_as", sa.Text, comment="where the old table is now"),
        sa.Column("files_loaded_before", sa.Integer),
        sa.Column("files_kept", sa.Integer),
        sa.Column("run_id", sa.Uuid, comment="the run that it asked for"),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("told_at", TIMESTAMPTZ, comment="when the executor said what is known of it"),
        sa.Column("ended_at", TIMESTAMPTZ),
        sa.ForeignKeyConstraint(["ingestion_id"], ["control.ingestion.id"], name="fk_refresh_ingestion_id_ingestion"),
        sa.ForeignKeyConstraint(["run_id"], ["control.run.id"], name="fk_refresh_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_refresh"),
        schema="control",
    )
    op.create_index(
        "uq_refresh_active",
        "refresh",
        ["ingestion_id"],
        unique=True,
        schema="control",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "refresh",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("from_generation", sa.Integer, nullable=False),
        sa.Column("to_generation", sa.Integer, nullable=False),
        sa.Column("phase", sa.Text, nullable=False, comment="contracts.events.RefreshPhase"),
        sa.Column("token", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", TIMESTAMPTZ),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("kept_as", sa.Text, comment="where the old table is now; null if there was none"),
        sa.Column("metadata_location", sa.Text, comment="of the old table, from which it can be registered again"),
        sa.Column("told_problem", sa.Text, comment="code of the problem that was told last"),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIMESTAMPTZ, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refresh"),
        schema="ledger",
        comment="The executor's side of a refresh: who works on it, and how far it is.",
    )
    op.create_index(
        "ix_refresh_unfinished",
        "refresh",
        ["lease_until"],
        schema="ledger",
        postgresql_where=sa.text("phase <> 'ended'"),
    )


def downgrade() -> None:
    op.drop_table("refresh", schema="ledger")
    op.drop_table("refresh", schema="control")
