"""Runs that somebody cancelled, and runs that try again what failed in others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "scan",
        sa.Column(
            "cancelled_at",
            sa.DateTime(timezone=True),
            comment="from then on nothing is planned for the run, and its batches burn",
        ),
        schema="ledger",
    )
    op.add_column(
        "run",
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), comment="it ends when its batches have burned"),
        schema="control",
    )
    op.add_column(
        "run", sa.Column("retry_of", sa.Uuid, comment="only what failed in that run is read"), schema="control"
    )
    op.create_foreign_key(
        "fk_run_retry_of_run", "run", "run", ["retry_of"], ["id"], source_schema="control", referent_schema="control"
    )


def downgrade() -> None:
    op.drop_column("run", "retry_of", schema="control")
    op.drop_column("run", "cancel_requested_at", schema="control")
    op.drop_column("scan", "cancelled_at", schema="ledger")
