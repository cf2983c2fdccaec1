"""What is known of a source as a whole, in memory: ``libs/common/ledger/watermarks.py`` by other means."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from libs.common.completeness.watermark import advanced, reached
from libs.common.ids import BatchId
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.states import LOADED_FILE_STATES, FileState
from libs.common.selection.wanted import Wanted

if TYPE_CHECKING:
    from tests.support.memory_ledger.tables import Tables

Of = tuple[object, int]
"""Ingestion and generation."""


def listed(tables: "Tables", claim: ScanClaim) -> None:
    of = claim.ingestion_id, claim.generation
    tables.listed_from[of] = max(tables.listed_from.get(of, claim.began_at), claim.began_at)


def with_batch(tables: "Tables", claim: BatchClaim, wanted: Wanted) -> datetime | None:
    of = claim.ingestion_id, claim.generation
    if (listed_from := tables.listed_from.get(of)) is None:
        return None
    unfinished = [*_files(tables, of, listed_from, claim.id), *_on_their_way(tables, of, claim.id)]
    times = [f.last_modified for f in wanted.of(unfinished)]
    return advanced(None, reached(listed_from, min(times, default=None)))


def _files(tables: "Tables", of: Of, listed_from: datetime, without: BatchId) -> Iterator[FileVersion]:
    rows = [(at, row) for at, row in tables.files.items() if at[:2] == of]
    for place, (at, row) in enumerate(rows):
        gave_way = any(later[2] == at[2] for later, _ in rows[place + 1 :])
        is_missed = row.state is FileState.MISSING and (row.missed_at is None or row.missed_at >= listed_from)
        waits = row.state in (FileState.DISCOVERED, FileState.BATCHED) and row.batch_id != without
        if waits or ((row.state is FileState.FAILED or is_missed) and not gave_way):
            yield row.version


def _on_their_way(tables: "Tables", of: Of, without: BatchId) -> Iterator[FileVersion]:
    rows = [(batch_id, row) for (batch_id, _), row in tables.replacements.items() if row.of == of]
    for place, (batch_id, row) in enumerate(rows):
        known = tables.files.get((*row.of, row.version.digest, row.version.version_tag))
        is_loaded = known is not None and known.state in LOADED_FILE_STATES
        was_tried_again = any(newer.version.digest == row.version.digest for _, newer in rows[place + 1 :])
        waits = row.state in (FileState.BATCHED, FileState.DISCOVERED) and batch_id != without
        if waits and not is_loaded and not was_tried_again:
            yield row.version
