"""What webhooks are told: CloudEvents as on the topics, one HTTP request each.

A run that ends is told once, as ``run.finished`` or as ``run.failed``. Files that should have come are told as on their
topic. No service reads what is written here.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from libs.common.contracts.events import ExpectedFileArrived, ExpectedFileMissing, Message, Problem, RunState


class RunFinished(RunState):
    """A run is over, and loaded what it could: ``status`` is success, partial or cancelled."""

    wire_type = "run.finished"


class RunFailed(RunState):
    """A run is over, and loaded nothing or was ended for its first bad record: ``status`` is failed."""

    wire_type = "run.failed"


class ColumnChange(BaseModel):
    """One difference between two versions of a table's columns."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str = Field(description="added, changed or dropped.")
    column: str
    type: str | None = None
    before: str | None = Field(default=None, description="Its type in the version before.")
    file: str | None = Field(default=None, description="A file that asked for it.")


class SchemaChanged(Message):
    """A table's columns changed while files were loaded. The first version, which makes the table, is not told."""

    wire_type = "schema.changed"

    tenant_id: str
    ingestion_id: UUID
    run_id: UUID
    generation: int
    table: str = Field(description="As catalog.database.table.")
    version: int = Field(description="GET …/schema/versions/{version} shows all of its columns.")
    changes: tuple[ColumnChange, ...]


class FileQuarantined(Message):
    """Records of a batch of files did not fit and stand in the quarantine; the others were loaded."""

    wire_type = "file.quarantined"

    tenant_id: str
    ingestion_id: UUID
    run_id: UUID
    batch_id: UUID
    table: str = Field(description="As catalog.database.table.")
    records: int = Field(description="How many records of the batch were set aside.")
    problems: tuple[Problem, ...] = Field(description="Its files with such records, the first of them; REST has all.")


class WebhookPing(Message):
    """Somebody wants to see that the webhook works."""

    wire_type = "webhook.ping"

    webhook_id: UUID


WEBHOOK_MESSAGES: tuple[type[Message], ...] = (RunFinished, RunFailed, SchemaChanged, FileQuarantined, WebhookPing)
"""What only webhooks are told."""

EVENTS: Final[Mapping[str, type[Message]]] = {
    message.wire_type: message
    for message in (RunFinished, RunFailed, SchemaChanged, FileQuarantined, ExpectedFileMissing, ExpectedFileArrived)
}
"""What a webhook may listen to, by the name that users write."""


def changes_of(rows: list[dict[str, Any]]) -> tuple[ColumnChange, ...]:
    """The stored changes of a schema version, as they are told."""
    return tuple(ColumnChange.model_validate(row) for row in rows)
