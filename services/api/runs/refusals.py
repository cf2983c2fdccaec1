"""Why a run may not be asked for, in the words that clients get. Pure."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.common.contracts.definition import FILE_PATH, Definition
from libs.common.contracts.scope import ANY_AGE, Scope
from libs.common.errors import Conflict


def run_queued(ingestion_id: UUID, run_id: UUID, why: str) -> Conflict:
    return Conflict(
        f"run {run_id} {why}, and one run waits at most",
        code="run_queued",
        hint=f"try again when it has begun, or POST /api/v1/ingestions/{ingestion_id}/runs/{run_id}/cancel",
    )


def file_column_missing(definition: Definition) -> Conflict:
    return Conflict(
        f"some of these files are loaded, and the rows of {definition.destination.identifier} do not say which file "
        "they came from, so they cannot be replaced",
        code="file_column_missing",
        hint=f"add {FILE_PATH} to destination.metadata_columns; what was loaded before needs a POST …/refresh/full. "
        'Files that failed can be loaded again without it: {"failed": true}',
    )


def retry_scope(failed: Scope) -> Scope:
    """What failed in a backfill may be older than what other runs read; what failed in a reload is replaced."""
    return ANY_AGE.model_copy(update={"again": failed.again})


def refuse_retry(run: Row[Any], generation: int, *, is_anything_left: bool) -> None:
    """
    Raises:
        Conflict: there is nothing that a retry of this run could read.
    """
    if run.ended_at is None:
        raise Conflict(
            f"run {run.id} is not over",
            code="run_active",
            hint=f"wait for it: GET /api/v1/ingestions/{run.ingestion_id}/runs/{run.id}",
        )
    if run.generation != generation:
        raise Conflict(
            f"run {run.id} loaded another generation of the table, before a refresh",
            code="run_outlived",
            hint=f"POST /api/v1/ingestions/{run.ingestion_id}/run loads what the table lacks",
        )
    if not is_anything_left:
        raise Conflict(
            f"run {run.id} has nothing left to retry: its files are loaded, or a later run has them",
            code="nothing_to_retry",
            hint=f"GET /api/v1/ingestions/{run.ingestion_id}/files?state=failed names the run of each file that failed",
        )
