"""Bad records of batches for which a swap's stands."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "the batch that set them aside, where a swap's stands for it in the ledger"
    op.add_column("quarantined", sa.Column("origin", sa.Uuid, comment=comment), schema="ledger")


def downgrade() -> None:
    op.drop_column("quarantined", "origin", schema="ledger")
