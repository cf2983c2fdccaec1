"""Which fields may become columns: what somebody decided, or has to decide."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "column_decision",
        sa.Column("ingestion_id", sa.Uuid, primary_key=True),
        sa.Column("column", sa.Text, primary_key=True, comment="its path as people write it: meta.ts"),
        sa.Column("state", sa.Text, nullable=False, comment="held, approved, rejected"),
        sa.Column("type", sa.Text, nullable=False, comment="what it would become"),
        sa.Column("file", sa.Text, comment="one that has it"),
        sa.Column("example", sa.Text, comment="a value of it in that file, as JSON"),
        sa.Column("run_id", sa.Uuid, comment="the run that met it first"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("decided_by", sa.Text),
        schema="ledger",
        comment="Which fields may become columns, as somebody decided or has to decide. It holds for all generations.",
    )


def downgrade() -> None:
    op.drop_table("column_decision", schema="ledger")
