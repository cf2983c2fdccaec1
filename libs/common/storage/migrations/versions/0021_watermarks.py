"""Up to when everything of a source is loaded, and indexes of what holds that back."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "watermark",
        sa.Column("ingestion_id", sa.Uuid, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column(
            "listed_from",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when the latest listing of the whole source began that came to its end",
        ),
        sa.Column("up_to", sa.DateTime(timezone=True), comment="the watermark as stated; it never falls"),
        sa.Column("advanced_at", sa.DateTime(timezone=True)),
        schema="ledger",
        comment="Up to when everything of a source is loaded, set aside or left out: see libs/common/completeness.",
    )
    op.create_index(
        "ix_file_unfinished",
        "file",
        ["ingestion_id", "generation", "last_modified"],
        schema="ledger",
        postgresql_where=sa.text("state IN ('batched', 'discovered', 'failed', 'missing')"),
    )
    op.create_index(
        "ix_replacement_given_up",
        "replacement",
        ["ingestion_id", "generation"],
        schema="ledger",
        postgresql_where=sa.text("state = 'discovered'"),
    )


def downgrade() -> None:
    op.drop_index("ix_replacement_given_up", "replacement", schema="ledger")
    op.drop_index("ix_file_unfinished", "file", schema="ledger")
    op.drop_table("watermark", schema="ledger")
