"""Ingestions that follow notifications, and what the API knows of each (``services/api/triggers`` writes it)."""

from sqlalchemy import Column, ColumnElement, DateTime, ForeignKey, Integer, Table, Uuid, and_

from libs.common.storage.control import SCHEMA, ingestion
from libs.common.storage.metadata import metadata

following = Table(
    "following",
    metadata,
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), primary_key=True),
    Column("revision", DateTime(timezone=True), nullable=False, comment="updated_at of the ingestion that is followed"),
    Column(
        "since",
        DateTime(timezone=True),
        nullable=False,
        comment="whatever is written from then on is told of by notifications",
    ),
    Column(
        "listing_at",
        DateTime(timezone=True),
        nullable=False,
        comment="when the source is listed next, for what no notification told of",
    ),
    Column("listing_run_id", Uuid, comment="the latest run that listed it for that"),
    Column("run_id", Uuid, comment="the latest run that hints began"),
    Column("failures", Integer, nullable=False, server_default="0", comment="such runs in a row that left their hints"),
    schema=SCHEMA,
    comment="Ingestions that follow notifications: when their source is listed, and how their runs went.",
)


def follows_notifications() -> ColumnElement[bool]:
    """Of ``control.ingestion``: whether its files are to be loaded as notifications tell of them."""
    return and_(
        ingestion.c.status == "active",
        ingestion.c.deleted_at.is_(None),
        ingestion.c.definition["schedule"]["trigger"].astext == "event",
    )
