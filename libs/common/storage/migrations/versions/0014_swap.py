"""Refreshes that build the new table aside."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_Columns = tuple[tuple[str, Any, dict[str, Any]], ...]
_BOTH: _Columns = (
    ("strategy", sa.Text, {"nullable": False, "server_default": "drop", "comment": "drop or swap"}),
    ("completes", sa.Uuid, {"comment": "the refresh whose built table takes the old one's place"}),
    ("builds", sa.Text, {"comment": "the table that is built aside"}),
)
_LEDGER: _Columns = (
    ("snapshot_id", sa.BigInteger, {"comment": "as published: all rows of the table gave way to others"}),
    ("replaced_snapshot", sa.BigInteger, {"comment": "the snapshot before it; -1: the table had none"}),
    ("row_count", sa.BigInteger, {"comment": "of the rows that it put in"}),
    ("bytes_written", sa.BigInteger, {}),
)
_CONTROL: _Columns = (
    ("replaced_snapshot", sa.BigInteger, {"comment": "the snapshot whose rows gave way; -1: the table had none"}),
    ("row_count", sa.BigInteger, {"comment": "of the rows that took their place"}),
)


def upgrade() -> None:
    for schema, columns in (("ledger", _BOTH + _LEDGER), ("control", _BOTH + _CONTROL)):
        for name, kind, words in columns:
            op.add_column("refresh", sa.Column(name, kind, **words), schema=schema)
    op.create_foreign_key(
        "fk_refresh_completes_refresh",
        "refresh",
        "refresh",
        ["completes"],
        ["id"],
        source_schema="control",
        referent_schema="control",
    )
    building = sa.Column("building", sa.Uuid, comment="the refresh whose table is built aside: runs load that one")
    op.add_column("ingestion", building, schema="control")
    was_listed = sa.Column(
        "was_listed",
        sa.Boolean,
        nullable=False,
        server_default=sa.text("false"),
        comment="the source was listed to its end",
    )
    op.add_column("scan", was_listed, schema="ledger")


def downgrade() -> None:
    op.drop_column("scan", "was_listed", schema="ledger")
    op.drop_column("ingestion", "building", schema="control")
    for schema, columns in (("ledger", _BOTH + _LEDGER), ("control", _BOTH + _CONTROL)):
        for name, _, _ in columns:
            op.drop_column("refresh", name, schema=schema)
