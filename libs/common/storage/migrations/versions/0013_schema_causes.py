"""Why each version of a schema came: its changes, with the file and the value that asked for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("schema_version", sa.Column("run_id", sa.Uuid, comment="the run of that batch"), schema="ledger")
    op.add_column(
        "schema_version",
        sa.Column("mode", sa.Text, comment="the schema_evolution_mode that let it happen"),
        schema="ledger",
    )
    op.add_column(
        "schema_version",
        sa.Column(
            "changes",
            JSONB,
            nullable=False,
            server_default=sa.text("'[]'::jsonb"),
            comment="[{kind, column, type, before, file, example}] against the version before",
        ),
        schema="ledger",
    )


def downgrade() -> None:
    for name in ("changes", "mode", "run_id"):
        op.drop_column("schema_version", name, schema="ledger")
