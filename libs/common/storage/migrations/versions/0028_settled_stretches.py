"""What scans remember of stretches of a listing in which nothing was to do, and what makes them forget it."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_THIS_TRANSACTION = "((pg_current_xact_id())::text)::bigint"
_NEW_MARK = "hashtextextended((gen_random_uuid())::text, (0)::bigint)"
_FUNCTION = """
CREATE FUNCTION ledger.loaded_files_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One for a transaction. A row with its number that it has not written itself is of a restored backup.
    INSERT INTO ledger.settled_break AS b (ingestion_id, generation)
    SELECT DISTINCT ingestion_id, generation FROM was WHERE state IN ('committed', 'baseline')
    ON CONFLICT (ingestion_id, generation, transaction) DO UPDATE SET mark = excluded.mark
    WHERE b.xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END $$
"""
_TRUNCATED = """
CREATE FUNCTION ledger.files_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM ledger.settled_stretch;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "settled_break",
        sa.Column("ingestion_id", sa.Uuid, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column(
            "transaction",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            server_default=sa.text(_THIS_TRANSACTION),
            comment="one break for each, however many rows it changed",
        ),
        sa.Column("mark", sa.BigInteger, nullable=False, server_default=sa.text(_NEW_MARK), comment="random"),
        schema="ledger",
        comment="Each time that something loaded ceased to be, or another version was taken beside it: by a trigger.",
    )
    op.create_table(
        "settled_stretch",
        sa.Column("ingestion_id", sa.Uuid, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True),
        sa.Column(
            "fingerprint", sa.LargeBinary, primary_key=True, comment="of what the store told, and of what was wanted"
        ),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="in which it was found settled"),
        sa.Column("objects", sa.Integer, nullable=False),
        sa.Column("named", sa.Integer, nullable=False, comment="of these, wanted by name"),
        sa.Column("of_age", sa.Integer, nullable=False, comment="of these, wanted by their age; all settled"),
        sa.Column("seen_on", sa.Date, nullable=False, server_default=sa.func.current_date()),
        schema="ledger",
        comment="Stretches of listings in which a scan had nothing to do: see libs/common/ledger/settled.py.",
    )
    op.execute(_FUNCTION)
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER loaded_files_{event.lower()}d AFTER {event} ON ledger.file REFERENCING OLD TABLE AS was"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger.loaded_files_changed()"
        )
    op.execute(_TRUNCATED)
    op.execute(
        "CREATE TRIGGER files_truncated AFTER TRUNCATE ON ledger.file"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger.files_truncated()"
    )


def downgrade() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(f"DROP TRIGGER loaded_files_{event.lower()}d ON ledger.file")
    op.execute("DROP TRIGGER files_truncated ON ledger.file")
    op.execute("DROP FUNCTION ledger.files_truncated()")
    op.execute("DROP FUNCTION ledger.loaded_files_changed()")
    op.drop_table("settled_stretch", schema="ledger")
    op.drop_table("settled_break", schema="ledger")
