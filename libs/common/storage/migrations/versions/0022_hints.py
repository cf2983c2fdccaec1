"""Hints of notifications, and when the sources of ingestions that follow them are listed."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hint",
        sa.Column("ingestion_id", sa.Uuid, primary_key=True),
        sa.Column("key_digest", sa.LargeBinary, primary_key=True, comment="sha256(bucket NUL key)"),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column(
            "seq", sa.BigInteger, nullable=False, comment="in the order of commits; anew when it is noticed again"
        ),
        sa.Column(
            "size_bytes", sa.BigInteger, nullable=False, comment="as its first notification says; 0 if it does not"
        ),
        sa.Column("event_time", sa.DateTime(timezone=True), comment="as its latest notification says"),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False, comment="when it was noticed first"),
        schema="ledger",
        comment="Keys that notifications named, until a scan has looked at them.",
    )
    op.create_index("ix_hint_seq", "hint", ["ingestion_id", "seq"], schema="ledger")
    op.create_table(
        "hinted",
        sa.Column("ingestion_id", sa.Uuid, primary_key=True),
        sa.Column("last_seq", sa.BigInteger, nullable=False, server_default="0", comment="given to the latest hint"),
        sa.Column("files", sa.BigInteger, nullable=False, server_default="0", comment="hints that wait"),
        sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0", comment="of those hints"),
        sa.Column(
            "first_at",
            sa.DateTime(timezone=True),
            comment="when the oldest of them was noticed; null: none waits",
        ),
        schema="ledger",
        comment="What waits in ledger.hint, per ingestion. The row stays: it numbers the hints.",
    )
    op.create_table(
        "following",
        sa.Column("ingestion_id", sa.Uuid, sa.ForeignKey("control.ingestion.id"), primary_key=True),
        sa.Column(
            "revision",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="updated_at of the ingestion that is followed",
        ),
        sa.Column(
            "since",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="whatever is written from then on is told of by notifications",
        ),
        sa.Column(
            "listing_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when the source is listed next, for what no notification told of",
        ),
        sa.Column("listing_run_id", sa.Uuid, comment="the latest run that listed it for that"),
        sa.Column("run_id", sa.Uuid, comment="the latest run that hints began"),
        sa.Column(
            "failures",
            sa.Integer,
            nullable=False,
            server_default="0",
            comment="such runs in a row that left their hints",
        ),
        schema="control",
        comment="Ingestions that follow notifications: when their source is listed, and how their runs went.",
    )


def downgrade() -> None:
    op.drop_table("following", schema="control")
    op.drop_table("hinted", schema="ledger")
    op.drop_table("hint", schema="ledger")
