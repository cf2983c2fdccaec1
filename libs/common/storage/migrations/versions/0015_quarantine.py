"""Bad records are set aside. Ingestions that are there keep what they had: their file is not loaded."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_WITH_DEFINITION = ("ingestion", "run", "refresh", "reconciliation")


def upgrade() -> None:
    op.add_column(
        "batch",
        sa.Column(
            "records_quarantined",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="records of its files that its audit found bad: ledger.quarantined has them by file",
        ),
        schema="ledger",
    )
    op.add_column(
        "scan",
        sa.Column(
            "aborted_at",
            sa.DateTime(timezone=True),
            comment="on_error abort met a bad record: from then on nothing is planned or published for the run",
        ),
        schema="ledger",
    )
    op.create_table(
        "quarantined",
        sa.Column("batch_id", sa.Uuid(), sa.ForeignKey("ledger.batch.id"), primary_key=True),
        sa.Column("key_digest", sa.LargeBinary(), primary_key=True, comment="sha256(bucket NUL key)"),
        sa.Column("ingestion_id", sa.Uuid(), nullable=False),
        sa.Column(
            "records",
            sa.BigInteger(),
            nullable=False,
            comment="of this file, in the quarantine if the batch is published",
        ),
        sa.Column("first", JSONB(), nullable=False, comment="[{line, reason, raw}], a few; the quarantine has all"),
        schema="ledger",
        comment="Files of batches with bad records. They count for a file while this batch is the one that loaded it.",
    )
    op.create_index("ix_quarantined_ingestion_id", "quarantined", ["ingestion_id", "batch_id"], schema="ledger")
    for name in _WITH_DEFINITION:
        table = sa.table(name, sa.column("definition", JSONB), schema="control")
        quality = sa.func.coalesce(table.c.definition["quality"], sa.cast({}, JSONB))
        kept = quality.op("||")(sa.cast({"on_error": "skip_file"}, JSONB))
        path = sa.cast(["quality"], ARRAY(sa.Text()))
        op.execute(sa.update(table).values(definition=sa.func.jsonb_set(table.c.definition, path, kept)))


def downgrade() -> None:
    op.drop_table("quarantined", schema="ledger")
    op.drop_column("scan", "aborted_at", schema="ledger")
    op.drop_column("batch", "records_quarantined", schema="ledger")
