"""Columns that are filled from what was rescued: a third kind of request beside audits and rebuilds. Words alone."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_KIND = ("audit or rebuild", "audit, rebuild or fill")
_ASKED = (
    "Audits and ledger rebuilds that users asked for; ledger.audit says what became of each.",
    "Audits, ledger rebuilds and fills of columns that users asked for; ledger.audit says what became of each.",
)
_DONE = (
    "Audits and rebuilds of the ledger: who works on them, and what they found.",
    "Audits, rebuilds of the ledger and fills of columns: who works on them, and what they found.",
)


def upgrade() -> None:
    _say(before=0, after=1)


def downgrade() -> None:
    _say(before=1, after=0)


def _say(*, before: int, after: int) -> None:
    op.alter_column(
        "reconciliation",
        "kind",
        existing_type=sa.Text,
        existing_nullable=False,
        comment=_KIND[after],
        existing_comment=_KIND[before],
        schema="control",
    )
    op.create_table_comment("reconciliation", _ASKED[after], existing_comment=_ASKED[before], schema="control")
    op.create_table_comment("audit", _DONE[after], existing_comment=_DONE[before], schema="ledger")
