"""What audits, rebuilds of a ledger, fills of columns and checks of a cluster report. Written by the executor, served
by the API, printed by the client."""

from pydantic import BaseModel, ConfigDict, Field

EXAMPLES_MAX = 100
"""Findings of one kind that a report names; it counts them all."""


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Side(_Report):
    """The numbers of one side."""

    batches: int | None = Field(default=None, description="Batches whose rows are there; null where there are none.")
    files: int = Field(description="Files, as far as this side knows them.")
    rows: int | None = Field(default=None, description="Rows of these batches; null where nobody counts them.")


class Sides(_Report):
    bucket: Side
    ledger: Side
    table: Side


class Finding(_Report):
    """One thing that is not as it should be."""

    name: str = Field(description="s3://bucket/key, a batch's id, or a data file's path.")
    reason: str


class Findings(_Report):
    """All of one kind. ``examples`` are the first of them."""

    count: int = 0
    examples: tuple[Finding, ...] = ()


class AuditReport(_Report):
    """Bucket, ledger and table side by side."""

    clean: bool = Field(description="Nothing is missing, duplicated, orphaned or miscounted.")
    sides: Sides
    missing: Findings = Field(description="In the bucket, or committed in the ledger, and not in the table.")
    duplicated: Findings = Field(description="In the table more than once: a batch, a data file, a file version.")
    orphaned: Findings = Field(description="Batches that either the ledger or the table knows, and not both.")
    miscounted: Findings = Field(
        description="Batches whose rows differ between ledger and table, or their bad records between ledger and "
        "quarantine."
    )
    notes: tuple[str, ...] = Field(default=(), description="Worth knowing, and nothing wrong.")


class RebuildReport(_Report):
    """What a rebuild found and, unless it was a dry run, wrote."""

    dry_run: bool
    batches_restored: int = Field(description="Batches of the table that the ledger did not have as published.")
    batches_withdrawn: int = Field(description="Batches of the ledger that left the table: their files load again.")
    files_committed: int = Field(description="File versions that the table proves to hold.")
    files_taken_on_trust: int = Field(description="Files without proof that were declared loaded.")
    files_new: int = Field(description="Files of the bucket that the next run will load.")
    notes: tuple[str, ...] = ()


class ColumnFilled(_Report):
    """One column that was to be filled from what was rescued."""

    column: str
    filled: int = Field(description="Rows that got their value.")
    unfit: int = Field(description="Rows whose value does not fit, or has something in it without a place: it stays.")


class FillReport(_Report):
    """What a fill changed."""

    rows_changed: int
    columns: tuple[ColumnFilled, ...] = Field(description="Those of which something was rescued.")


class CatalogSeen(_Report):
    """A catalog that the cluster's configuration names."""

    name: str
    usable: bool = Field(description="Its namespaces could be listed.")
    problem: str | None = Field(default=None, description="Why not.")


class ClusterReport(_Report):
    """What an executor found at a cluster."""

    spark_version: str
    connect_ms: int = Field(description="Until a new session was there.")
    statement_ms: int = Field(description="What a tiny statement took in it.")
    catalogs: tuple[CatalogSeen, ...] = ()
