"""Files that should come: how far each rule was judged, and the periods that were missed."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "expected_rule",
        sa.Column("ingestion_id", sa.Uuid, sa.ForeignKey("control.ingestion.id"), primary_key=True),
        sa.Column("rule", sa.Text, primary_key=True, comment="name in quality.expected_arrivals"),
        sa.Column(
            "judged_until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="periods that ended by then are judged",
        ),
        schema="control",
        comment="How far each rule about files that should come was judged.",
    )
    op.create_table(
        "missed_arrival",
        sa.Column("ingestion_id", sa.Uuid, sa.ForeignKey("control.ingestion.id"), primary_key=True),
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("begins", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pattern", sa.Text, nullable=False, comment="of the period's keys, below the source's path"),
        sa.Column("at_least", sa.Integer, nullable=False),
        sa.Column("found", sa.Integer, nullable=False, comment="files that were there when it was looked at last"),
        sa.Column("missed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("looked_at", sa.DateTime(timezone=True), comment="somebody looked again, or is about to"),
        sa.Column("arrived_at", sa.DateTime(timezone=True), comment="null while files are missing"),
        schema="control",
        comment="Periods whose expected files did not come in time. Each was told once.",
    )
    op.create_index(
        "ix_missed_arrival_open",
        "missed_arrival",
        ["looked_at"],
        schema="control",
        postgresql_where=sa.text("arrived_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("missed_arrival", schema="control")
    op.drop_table("expected_rule", schema="control")
