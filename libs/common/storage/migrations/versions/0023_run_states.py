"""The state of a run is told under a revision that only grows."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "run",
        sa.Column(
            "revision", sa.Integer, nullable=False, server_default="0", comment="of its state, as told on run-state"
        ),
        schema="control",
    )


def downgrade() -> None:
    op.drop_column("run", "revision", schema="control")
