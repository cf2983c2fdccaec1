"""An index of the files of a run, and vacuums that come before a large ledger has grown by a fifth."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_file_run_id", "file", ["run_id"], schema="ledger")
    op.create_index("ix_file_discovered_at", "file", ["ingestion_id", "generation", "discovered_at"], schema="ledger")
    # See docs/explanation/the-ledger-at-scale.md.
    op.execute(
        "ALTER TABLE ledger.file SET (autovacuum_vacuum_scale_factor = 0.02,"
        " autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02)"
    )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE ledger.file RESET (autovacuum_vacuum_scale_factor,"
        " autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor)"
    )
    op.drop_index("ix_file_discovered_at", "file", schema="ledger")
    op.drop_index("ix_file_run_id", "file", schema="ledger")
