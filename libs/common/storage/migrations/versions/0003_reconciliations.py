"""Audits of an ingestion, and rebuilds of its ledger: what was asked for, and what was found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIMESTAMPTZ = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "reconciliation",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="audit or rebuild"),
        sa.Column("options", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("definition", JSONB, nullable=False, comment="frozen when it was asked for"),
        sa.Column("created_at", TIMESTAMPTZ, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["ingestion_id"], ["control.ingestion.id"], name="fk_reconciliation_ingestion_id_ingestion"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_reconciliation"),
        schema="control",
        comment="Audits and ledger rebuilds that users asked for; ledger.audit says what became of each.",
    )
    op.create_index("ix_reconciliation_created_at", "reconciliation", ["created_at"], schema="control")
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid, nullable=False, comment="control.reconciliation"),
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("state", sa.Text, nullable=False, comment="running, done or failed"),
        sa.Column(
            "token", sa.BigInteger, server_default="0", nullable=False, comment="fencing: grows with every claim"
        ),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", TIMESTAMPTZ, comment="on the database's clock"),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("report", JSONB, comment="contracts.reports"),
        sa.Column("problem", JSONB, comment="contracts.events.Problem"),
        sa.Column("started_at", TIMESTAMPTZ, server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", TIMESTAMPTZ),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        schema="ledger",
        comment="Audits and rebuilds of the ledger: who works on them, and what they found.",
    )


def downgrade() -> None:
    op.drop_table("audit", schema="ledger")
    op.drop_table("reconciliation", schema="control")
