"""Runs that read a part of their source, and backfills, which run in a lane of their own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_RULES = {
    "uq_run_active": "ended_at IS NULL AND dispatched_at IS NOT NULL",
    "uq_run_queued": "ended_at IS NULL AND dispatched_at IS NULL",
}


def upgrade() -> None:
    op.add_column(
        "run",
        sa.Column("lane", sa.Text, nullable=False, server_default="fresh", comment="fresh or backfill"),
        schema="control",
    )
    op.add_column(
        "run",
        sa.Column("scope", JSONB, comment="contracts.scope.Scope: what of the source is read; null: all that is new"),
        schema="control",
    )
    op.add_column(
        "batch",
        sa.Column("lane", sa.Text, nullable=False, server_default="fresh", comment="its run's"),
        schema="ledger",
    )
    _one_of_each("ingestion_id", "lane")


def downgrade() -> None:
    _one_of_each("ingestion_id")
    op.drop_column("batch", "lane", schema="ledger")
    op.drop_column("run", "scope", schema="control")
    op.drop_column("run", "lane", schema="control")


def _one_of_each(*columns: str) -> None:
    for name, where in _RULES.items():
        op.drop_index(name, "run", schema="control")
        op.create_index(name, "run", list(columns), unique=True, schema="control", postgresql_where=sa.text(where))
