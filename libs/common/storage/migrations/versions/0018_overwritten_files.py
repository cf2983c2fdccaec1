"""Loaded versions beside which a later one was taken: they are not in its way."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_LIVE = "state IN ('baseline', 'batched', 'committed', 'discovered', 'quarantined')"


def upgrade() -> None:
    op.add_column(
        "file",
        sa.Column(
            "overwritten",
            sa.Boolean,
            nullable=False,
            server_default=sa.text("false"),
            comment="loaded, and a later version of the key was taken beside it (allow_overwrites: append)",
        ),
        schema="ledger",
    )
    _index_where(f"{_LIVE} AND NOT overwritten")


def downgrade() -> None:
    # Of several loaded versions of a key the ledger can go on with one.
    op.execute("UPDATE ledger.file SET state = 'superseded' WHERE overwritten")
    _index_where(_LIVE)
    op.drop_column("file", "overwritten", schema="ledger")


def _index_where(condition: str) -> None:
    op.drop_index("uq_file_live_key", "file", schema="ledger")
    op.create_index(
        "uq_file_live_key",
        "file",
        ["ingestion_id", "generation", "key_digest"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text(condition),
    )
