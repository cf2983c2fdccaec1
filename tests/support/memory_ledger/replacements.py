"""Files whose rows are replaced, in memory: ``libs/common/ledger/replacements.py`` by other means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from libs.common.contracts.events import Problem
from libs.common.errors import Fenced
from libs.common.ids import BatchId, RunId
from libs.common.ledger.model import BatchClaim, BurnVerdict, FileVersion, Loaded, PlannedBatch, Reload, ScanClaim
from libs.common.ledger.states import LOADED_FILE_STATES, FileState

if TYPE_CHECKING:
    from tests.support.memory_ledger.tables import FileId, Tables


@dataclass(frozen=True, slots=True)
class ReplacementRow:
    version: FileVersion
    state: FileState
    run_id: RunId
    of: tuple[object, int]
    """Ingestion and generation."""
    row_count: int | None = None
    problem: Problem | None = None


def plan(tables: "Tables", claim: ScanClaim | BatchClaim, planned: PlannedBatch) -> None:
    for f in planned.files:
        if _loaded_at(tables, claim, f.digest) is None or _under_way(tables, claim, f.digest):
            raise Fenced(f"a file that batch {planned.id} would replace")
        tables.replacements[planned.id, f.digest] = ReplacementRow(
            f, FileState.BATCHED, claim.run_id, (claim.ingestion_id, claim.generation)
        )


def carry_on(tables: "Tables", planned: PlannedBatch, burned: BatchId) -> None:
    for f in planned.files:
        row = tables.replacements.get((burned, f.digest))
        if row is None or row.state is not FileState.BATCHED:
            raise Fenced(f"a file of batch {planned.id}")
        del tables.replacements[burned, f.digest]
        tables.replacements[planned.id, f.digest] = replace(row, row_count=None)


def files_of(tables: "Tables", batch_id: BatchId) -> tuple[FileVersion, ...]:
    return tuple(sorted((row.version for _, row in _on_the_way(tables, batch_id)), key=lambda f: f.key.encode()))


def loaded(tables: "Tables", claim: BatchClaim) -> dict[bytes, Loaded]:
    found: dict[bytes, Loaded] = {}
    for digest, _ in _on_the_way(tables, claim.id):
        if (at := _loaded_at(tables, claim, digest)) is not None:
            row = tables.files[at]
            batch = tables.batches.get(row.batch_id) if row.batch_id is not None else None
            bad_from = batch.bad_from.get(digest, batch.id) if batch is not None and digest in batch.bad else None
            found[digest] = Loaded(row.version, 0 if row.state is FileState.BASELINE else row.row_count, bad_from)
    return found


def count_rows(tables: "Tables", claim: BatchClaim, rows_by_file: Mapping[bytes, int]) -> None:
    for digest, row in _on_the_way(tables, claim.id):
        if digest in rows_by_file:
            tables.replacements[claim.id, digest] = replace(row, row_count=rows_by_file[digest])


def commit(tables: "Tables", claim: BatchClaim) -> None:
    from tests.support.memory_ledger.tables import FileRow

    for digest, row in _on_the_way(tables, claim.id):
        tables.replacements[claim.id, digest] = replace(row, state=FileState.COMMITTED)
        if (old := _loaded_at(tables, claim, digest)) is not None:
            tables.files[old] = replace(tables.files[old], state=FileState.SUPERSEDED)
        at = (claim.ingestion_id, claim.generation, digest, row.version.version_tag)
        tables.files[at] = FileRow(row.version, FileState.COMMITTED, claim.run_id, claim.id, row.row_count)


def let_go(tables: "Tables", batch_id: BatchId, problem: Problem | None) -> None:
    for digest, row in _on_the_way(tables, batch_id):
        tables.replacements[batch_id, digest] = replace(
            row, state=FileState.DISCOVERED, row_count=None, problem=problem
        )


def apply(tables: "Tables", claim: BatchClaim, verdict: BurnVerdict) -> list[FileVersion]:
    """The files that have no fate go on."""
    going_on: list[FileVersion] = []
    for digest, row in _on_the_way(tables, claim.id):
        fate = verdict.fates.get(digest)
        if fate is None:
            going_on.append(row.version)
            continue
        tables.replacements[claim.id, digest] = replace(
            row, state=fate.state, row_count=None, problem=fate.problem or verdict.problem
        )
    return going_on


def reloads(tables: "Tables", claim: ScanClaim, files: Sequence[FileVersion]) -> dict[bytes, Reload]:
    wanted, of = {f.digest for f in files}, (claim.ingestion_id, claim.generation)
    rows = [(digest, row) for (_, digest), row in tables.replacements.items() if digest in wanted and row.of == of]
    own = {digest: row for digest, row in rows if row.run_id == claim.run_id}
    under_way = {digest: row for digest, row in rows if row.state is FileState.BATCHED}
    return {digest: Reload(row.run_id, row.state) for digest, row in (own | under_way).items()}


def _on_the_way(tables: "Tables", batch_id: BatchId) -> list[tuple[bytes, ReplacementRow]]:
    return [
        (digest, row)
        for (of, digest), row in tables.replacements.items()
        if of == batch_id and row.state is FileState.BATCHED
    ]


def _under_way(tables: "Tables", claim: ScanClaim | BatchClaim, digest: bytes) -> bool:
    return any(
        (of, row.of, row.state) == (digest, (claim.ingestion_id, claim.generation), FileState.BATCHED)
        for (_, of), row in tables.replacements.items()
    )


def _loaded_at(tables: "Tables", claim: ScanClaim | BatchClaim, digest: bytes) -> "FileId | None":
    at = tables.live(claim, digest)
    return at if at is not None and tables.files[at].state in LOADED_FILE_STATES else None
