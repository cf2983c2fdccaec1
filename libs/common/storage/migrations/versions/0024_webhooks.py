"""Webhooks, and what they are told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column(
            "ingestion_id",
            sa.Uuid,
            sa.ForeignKey("control.ingestion.id"),
            comment="null: all ingestions of the tenant",
        ),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("event_types", ARRAY(sa.Text), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("sealed", sa.LargeBinary, nullable=False, comment="the secret that signs, as in control.secret"),
        sa.Column("status", sa.Text, nullable=False, server_default="active", comment="active or disabled"),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("failing_since", sa.DateTime(timezone=True), comment="the first failure after the latest success"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="control",
        comment="Addresses that want to be told what happens.",
    )
    op.create_index("ix_webhook_tenant_created", "webhook", ["tenant_id", "created_at"], schema="control")
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.Uuid, primary_key=True, comment="the event's id, and the webhook-id that receivers see"),
        sa.Column("webhook_id", sa.Uuid, sa.ForeignKey("control.webhook.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="a CloudEvent, sent byte by byte as it is here"),
        sa.Column("state", sa.Text, nullable=False, server_default="waiting", comment="waiting, delivered or dead"),
        sa.Column(
            "token", sa.BigInteger, nullable=False, server_default="0", comment="fencing: grows with every claim"
        ),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0", comment="since it was last asked for"),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
            comment="or: leased until",
        ),
        sa.Column("last_status", sa.Integer, comment="what the receiver answered"),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        schema="control",
        comment="What webhooks are told; a row is there before anything is sent.",
    )
    op.create_index(
        "ix_webhook_delivery_due",
        "webhook_delivery",
        ["webhook_id", "due_at"],
        schema="control",
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("ix_webhook_delivery_created", "webhook_delivery", ["webhook_id", "created_at"], schema="control")
    op.create_index("ix_webhook_delivery_ended_at", "webhook_delivery", ["ended_at"], schema="control")


def downgrade() -> None:
    op.drop_table("webhook_delivery", schema="control")
    op.drop_table("webhook", schema="control")
