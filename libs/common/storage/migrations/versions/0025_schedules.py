"""Schedules: the next tick of each ingestion that goes by the clock, and which run belongs to which tick."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedule",
        sa.Column("ingestion_id", sa.Uuid, sa.ForeignKey("control.ingestion.id"), primary_key=True),
        sa.Column(
            "tick_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the first tick that nothing was done about",
        ),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False, comment="when it is looked at"),
        sa.Column("blocked_by", sa.Text, comment="code of the reason why its run could not start so far"),
        schema="control",
        comment="The next tick of each ingestion that goes by the clock.",
    )
    op.create_index("ix_schedule_due_at", "schedule", ["due_at"], schema="control")
    op.add_column(
        "run",
        sa.Column("tick_at", sa.DateTime(timezone=True), comment="the tick of the schedule that asked for it"),
        schema="control",
    )
    op.create_index(
        "uq_run_tick",
        "run",
        ["ingestion_id", "tick_at"],
        unique=True,
        schema="control",
        postgresql_where=sa.text("tick_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("uq_run_tick", "run", schema="control")
    op.drop_column("run", "tick_at", schema="control")
    op.drop_table("schedule", schema="control")
