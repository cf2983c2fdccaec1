"""Plans: what would be loaded, written down before it is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plan",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("ingestion_id", sa.Uuid, sa.ForeignKey("control.ingestion.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="run, backfill, refresh_full or refresh_new_only"),
        sa.Column("generation", sa.Integer, nullable=False, comment="the ingestion's when it was made"),
        sa.Column("definition_version", sa.Integer, nullable=False, comment="the ingestion's when it was made"),
        sa.Column("scope", JSONB, comment="contracts.scope.Scope"),
        sa.Column("shown", JSONB, nullable=False, comment="the answer that was given, without its ids and times"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(), index=True),
        schema="control",
    )
    op.create_table(
        "plan_file",
        sa.Column("plan_id", sa.Uuid, sa.ForeignKey("control.plan.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, comment="from 0, in the order of the listing"),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("last_modified", sa.DateTime(timezone=True), nullable=False),
        schema="control",
    )
    op.add_column("run", sa.Column("predicted", JSONB, comment="what its plan said of it"), schema="control")


def downgrade() -> None:
    op.drop_column("run", "predicted", schema="control")
    op.drop_table("plan_file", schema="control")
    op.drop_table("plan", schema="control")
