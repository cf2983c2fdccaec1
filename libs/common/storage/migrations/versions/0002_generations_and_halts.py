"""The generation that may be published, halts, and where a publish began."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ingestion",
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False, comment="the generation whose batches may be published"),
        sa.Column(
            "halt_code",
            sa.Text,
            comment="set while ledger and table disagree: nothing is loaded until somebody decided",
        ),
        sa.Column("halt_message", sa.Text),
        sa.Column("halt_hint", sa.Text),
        sa.Column("halted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("ingestion_id", name="pk_ingestion"),
        schema="ledger",
        comment="What holds for an ingestion as a whole. The row is made by its first scan.",
    )
    op.add_column(
        "batch",
        sa.Column(
            "publish_base",
            sa.BigInteger,
            comment="current snapshot right before the latest publish went out; -1: none",
        ),
        schema="ledger",
    )


def downgrade() -> None:
    op.drop_column("batch", "publish_base", schema="ledger")
    op.drop_table("ingestion", schema="ledger")
