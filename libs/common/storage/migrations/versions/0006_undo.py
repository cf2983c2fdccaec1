"""Refreshes that undo another one."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COMMENT = "the refresh whose old table comes back"
MODE_BEFORE, MODE = "full or new_only", "contracts.events.RefreshMode"


def upgrade() -> None:
    op.alter_column("refresh", "mode", schema="control", comment=MODE, existing_comment=MODE_BEFORE)
    op.add_column("refresh", sa.Column("undoes", sa.Uuid, comment=COMMENT), schema="control")
    op.create_foreign_key(
        "fk_refresh_undoes_refresh",
        "refresh",
        "refresh",
        ["undoes"],
        ["id"],
        source_schema="control",
        referent_schema="control",
    )
    op.add_column("refresh", sa.Column("undoes", sa.Uuid, comment=COMMENT), schema="ledger")


def downgrade() -> None:
    op.drop_column("refresh", "undoes", schema="ledger")
    op.drop_column("refresh", "undoes", schema="control")
    op.alter_column("refresh", "mode", schema="control", comment=MODE_BEFORE, existing_comment=MODE)
