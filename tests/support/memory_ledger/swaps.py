"""What a swap, and an undo, do to the ledger in memory."""

from dataclasses import replace

from libs.common.ids import BatchId, RunId
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.refreshes import BuiltAside, KeptTable, RefreshClaim, ReplacedRows
from libs.common.ledger.states import BatchState, FileState, ScanState
from tests.support.memory_ledger.tables import BatchRow, RefreshRow, ScanRow, Tables


class MemorySwapLedger:
    """As ``libs.common.ledger.swaps.SwapLedger``."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def rows(self, generation: int, claim: RefreshClaim) -> int:
        async with self._tables.transaction():
            return sum(
                (row.row_count or 0) - row.rows_removed
                for row in self._tables.batches.values()
                if (row.ingestion_id, row.generation) == (claim.ingestion_id, generation)
                and row.state is BatchState.PUBLISHED
            )

    async def files(self, generation: int, claim: RefreshClaim) -> tuple[FileVersion, ...] | None:
        async with self._tables.transaction():
            return tuple(
                row.version
                for at, row in self._tables.files.items()
                if at[:2] == (claim.ingestion_id, generation) and row.state is FileState.COMMITTED
            )


def kept_for(tables: Tables, row: RefreshRow) -> KeptTable | BuiltAside | ReplacedRows | None:
    if row.mode == "swap":
        assert row.completes is not None
        return BuiltAside(_name(tables.refreshes[row.completes].builds), row.from_generation)
    if row.undoes is None:
        return None
    undone = tables.refreshes[row.undoes]
    if undone.builds is None:
        return KeptTable(_name(undone.kept_as), undone.from_generation, undone.metadata_location)
    for swap in tables.refreshes.values():
        if swap.completes == undone.id and swap.phase == "ended" and swap.replaced_snapshot is not None:
            return ReplacedRows(swap.replaced_snapshot, undone.from_generation)
    return BuiltAside(_name(undone.builds), undone.from_generation)


def renumber(tables: Tables, claim: RefreshClaim, old: int) -> None:
    is_old, new = (claim.ingestion_id, old).__eq__, claim.to_generation
    tables.files = {(at[0], new, *at[2:]) if is_old(at[:2]) else at: row for at, row in tables.files.items()}
    tables.replacements = {
        at: replace(row, of=(claim.ingestion_id, new)) if is_old(row.of) else row
        for at, row in tables.replacements.items()
    }
    versions = tables.schema_versions
    tables.schema_versions = {(at[0], new) if is_old(at) else at: row for at, row in versions.items()}
    if not claim.replaces_all:
        tables.batches = {
            id_: replace(row, generation=new) if is_old((row.ingestion_id, row.generation)) else row
            for id_, row in tables.batches.items()
        }


def record_whole(tables: Tables, claim: RefreshClaim, row: RefreshRow) -> None:
    batch_id, run_id = BatchId(claim.id), RunId(claim.id)
    files = [
        at
        for at, version in tables.files.items()
        if at[:2] == (claim.ingestion_id, claim.to_generation) and version.state is FileState.COMMITTED
    ]
    bad = {at[2:]: found for at in files if (found := tables.bad_of(at)) is not None}
    for at in files:
        tables.files[at] = replace(tables.files[at], batch_id=batch_id)
    now = tables.clock()
    tables.scans[run_id] = ScanRow(run_id, claim.ingestion_id, claim.to_generation, now, state=ScanState.ENDED)
    tables.batches[batch_id] = BatchRow(
        id=batch_id,
        run_id=run_id,
        ingestion_id=claim.ingestion_id,
        generation=claim.to_generation,
        file_count=len(files),
        size_bytes=sum(tables.files[at].version.size_bytes for at in files),
        updated_at=now,
        state=BatchState.PUBLISHED,
        may_be_staged=True,
        snapshot_id=row.snapshot_id,
        row_count=row.row_count,
        bad={of: found for of, (found, _) in bad.items()},
        bad_from={of: origin for of, (_, origin) in bad.items()},
    )


def _name(identifier: str | None) -> str:
    assert identifier is not None
    return identifier.rsplit(".", 1)[-1]
