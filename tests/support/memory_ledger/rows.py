"""Rows of files in memory: those that the ledger knows, and those on their way into the place of others."""

from dataclasses import dataclass
from datetime import datetime

from libs.common.contracts.events import Problem
from libs.common.ids import BatchId, IngestionId, RunId
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState

FileId = tuple[IngestionId, int, bytes, str]
"""Ingestion, generation, key digest, version tag."""


@dataclass(frozen=True, slots=True)
class FileRow:
    version: FileVersion
    state: FileState
    run_id: RunId
    batch_id: BatchId | None = None
    row_count: int | None = None
    problem: Problem | None = None
    overwritten: bool = False
    missed_at: datetime | None = None
    """When it was found to be gone."""


@dataclass(frozen=True, slots=True)
class ReplacementRow:
    version: FileVersion
    state: FileState
    run_id: RunId
    of: tuple[IngestionId, int]
    """Ingestion and generation."""
    row_count: int | None = None
    problem: Problem | None = None
