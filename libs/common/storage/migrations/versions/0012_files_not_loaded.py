"""An index of the files that are not loaded: few among many."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_file_not_loaded",
        "file",
        ["ingestion_id", "generation", "run_id"],
        schema="ledger",
        postgresql_where=sa.text("state IN ('discovered', 'failed', 'missing')"),
    )


def downgrade() -> None:
    op.drop_index("ix_file_not_loaded", "file", schema="ledger")
