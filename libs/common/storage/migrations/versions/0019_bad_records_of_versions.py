"""The batch of a swap may have several versions of a key, each with bad records of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_PRIMARY_KEY = ["batch_id", "key_digest"]


def upgrade() -> None:
    op.add_column(
        "quarantined",
        sa.Column(
            "version_tag",
            sa.Text,
            nullable=False,
            server_default="",
            comment="which version of the key, in the batch of a swap; empty: the only one that the batch has",
        ),
        schema="ledger",
    )
    _identify_by([*_PRIMARY_KEY, "version_tag"])


def downgrade() -> None:
    # Of several versions of a key the ledger can go on with one.
    op.execute(
        "DELETE FROM ledger.quarantined q USING ledger.quarantined other WHERE q.batch_id = other.batch_id "
        "AND q.key_digest = other.key_digest AND q.version_tag < other.version_tag"
    )
    _identify_by(_PRIMARY_KEY)
    op.drop_column("quarantined", "version_tag", schema="ledger")


def _identify_by(columns: list[str]) -> None:
    op.drop_constraint("pk_quarantined", "quarantined", schema="ledger")
    op.create_primary_key("pk_quarantined", "quarantined", columns, schema="ledger")
