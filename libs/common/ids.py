"""Names for identities, so that a batch id cannot be passed where a run id is wanted."""

from typing import NewType
from uuid import UUID, uuid4

IngestionId = NewType("IngestionId", UUID)
RunId = NewType("RunId", UUID)
BatchId = NewType("BatchId", UUID)
RefreshId = NewType("RefreshId", UUID)
EventId = NewType("EventId", UUID)
TenantId = NewType("TenantId", str)


def new_ingestion_id() -> IngestionId:
    return IngestionId(uuid4())


def new_run_id() -> RunId:
    return RunId(uuid4())


def new_batch_id() -> BatchId:
    return BatchId(uuid4())


def new_refresh_id() -> RefreshId:
    return RefreshId(uuid4())


def new_event_id() -> EventId:
    return EventId(uuid4())
