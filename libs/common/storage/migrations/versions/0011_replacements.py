"""Batches that take the place of rows which are in the table already."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "batch",
        sa.Column(
            "replaces_rows",
            sa.Boolean,
            nullable=False,
            server_default=sa.text("false"),
            comment="its files are in ledger.replacement: their rows are in the table, and others take their place",
        ),
        schema="ledger",
    )
    op.add_column(
        "batch",
        sa.Column(
            "rows_removed",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="rows of earlier batches that its publish took out of the table",
        ),
        schema="ledger",
    )
    op.create_table(
        "replacement",
        sa.Column("batch_id", sa.Uuid, sa.ForeignKey("ledger.batch.id"), primary_key=True),
        sa.Column("key_digest", sa.LargeBinary, primary_key=True, comment="sha256(bucket NUL key)"),
        sa.Column("ingestion_id", sa.Uuid, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Uuid, nullable=False),
        sa.Column("version_tag", sa.Text, nullable=False, comment="the version whose rows shall be in the table"),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False, comment="batched, or how it ended: see libs/common/ledger/states"),
        sa.Column("row_count", sa.BigInteger),
        sa.Column("error_type", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="ledger",
        comment="File versions on their way into the table in the place of rows that are there. ledger.file knows the "
        "rows that are there until the batch is published.",
    )
    op.create_index(
        "uq_replacement_live_key",
        "replacement",
        ["ingestion_id", "generation", "key_digest"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("state = 'batched'"),
    )
    op.create_index("ix_replacement_run_id", "replacement", ["run_id", "key_digest"], schema="ledger")


def downgrade() -> None:
    op.drop_table("replacement", schema="ledger")
    op.drop_column("batch", "rows_removed", schema="ledger")
    op.drop_column("batch", "replaces_rows", schema="ledger")
