"""Refreshes whose run loads the files of a plan."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "refresh", sa.Column("plan_id", sa.Uuid, comment="its run loads the files of this plan"), schema="control"
    )


def downgrade() -> None:
    op.drop_column("refresh", "plan_id", schema="control")
