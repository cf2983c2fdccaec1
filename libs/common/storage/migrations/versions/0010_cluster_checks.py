"""Connection tests of clusters: what was asked for, and what was found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TIMESTAMPTZ = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "cluster_check",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("cluster_id", sa.Text, nullable=False),
        sa.Column("created_at", TIMESTAMPTZ, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cluster_check"),
        schema="control",
        comment="Connection tests that users asked for; ledger.cluster_check says what was found.",
    )
    op.create_index("ix_cluster_check_created_at", "cluster_check", ["created_at"], schema="control")
    op.create_table(
        "cluster_check",
        sa.Column("id", sa.Uuid, nullable=False, comment="control.cluster_check"),
        sa.Column("owner", sa.Text, nullable=False, comment="the executor that looked"),
        sa.Column("report", JSONB, comment="contracts.reports"),
        sa.Column("problem", JSONB, comment="contracts.events.Problem"),
        sa.Column("ended_at", TIMESTAMPTZ, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cluster_check"),
        schema="ledger",
        comment="What executors found at clusters. A row is written once.",
    )


def downgrade() -> None:
    op.drop_table("cluster_check", schema="ledger")
    op.drop_table("cluster_check", schema="control")
