"""Files whose rows are replaced, in memory: ``libs/common/ledger/replacements.py`` by other means."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from libs.common.contracts.events import Problem
from libs.common.errors import Fenced
from libs.common.ids import BatchId, RunId
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, PlannedBatch
from libs.common.ledger.model.files import FileVersion, Loaded, Reload
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.states import LIVE_FILE_STATES, LOADED_FILE_STATES, FileState
from tests.support.memory_ledger.rows import FileRow, ReplacementRow

if TYPE_CHECKING:
    from tests.support.memory_ledger.tables import Tables


def plan(tables: "Tables", claim: ScanClaim | BatchClaim, planned: PlannedBatch) -> None:
    for f in planned.files:
        live = tables.live(claim, f.digest)
        is_in_work = live is not None and tables.files[live].state not in LOADED_FILE_STATES
        if not tables.loaded(claim, f.digest) or is_in_work or _under_way(tables, claim, f.digest):
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
        versions = sorted(tables.loaded(claim, digest), key=lambda at: at[3])
        rows = [tables.files[at] for at in versions]
        counts = [0 if row.state is FileState.BASELINE else row.row_count for row in rows]
        total = None if None in counts else sum(count or 0 for count in counts)
        bad = [tables.bad_of(at) for at in versions]
        bad_from = tuple(of_version[1] for of_version in bad if of_version is not None)
        if rows:
            found[digest] = Loaded(tuple(row.version for row in rows), total, bad_from)
    return found


def count_rows(tables: "Tables", claim: BatchClaim, rows_by_file: Mapping[bytes, int]) -> None:
    for digest, row in _on_the_way(tables, claim.id):
        if digest in rows_by_file:
            tables.replacements[claim.id, digest] = replace(row, row_count=rows_by_file[digest])


def commit(tables: "Tables", claim: BatchClaim) -> None:
    for digest, row in _on_the_way(tables, claim.id):
        tables.replacements[claim.id, digest] = replace(row, state=FileState.COMMITTED)
        for old in tables.loaded(claim, digest):
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
        problem = fate.problem or verdict.problem
        tables.replacements[claim.id, digest] = replace(row, state=fate.state, row_count=None, problem=problem)
        at = (claim.ingestion_id, claim.generation, digest, row.version.version_tag)
        known = tables.files.get(at)
        if fate.state is FileState.FAILED and (known is None or known.state not in LIVE_FILE_STATES):
            tables.files[at] = FileRow(row.version, FileState.FAILED, claim.run_id, problem=problem)
    return going_on


def make_room(tables: "Tables", claim: ScanClaim, digests: Sequence[bytes]) -> None:
    for digest in digests:
        if _under_way(tables, claim, digest):
            raise Fenced(f"a file that run {claim.run_id} found")
        for at in tables.loaded(claim, digest):
            tables.files[at] = replace(tables.files[at], overwritten=True)


def taken(tables: "Tables", claim: ScanClaim) -> list[FileVersion]:
    """What the run put on its way, and the table of files does not have as its own."""
    return [
        row.version
        for (_, digest), row in tables.replacements.items()
        if row.run_id == claim.run_id
        and (
            (known := tables.files.get((*row.of, digest, row.version.version_tag))) is None
            or known.run_id != claim.run_id
        )
    ]


def reloads(
    tables: "Tables", claim: ScanClaim, files: Sequence[FileVersion], retry_of: RunId | None
) -> dict[bytes, Reload]:
    wanted, of = {f.digest for f in files}, (claim.ingestion_id, claim.generation)
    rows = [(digest, row) for (_, digest), row in tables.replacements.items() if digest in wanted and row.of == of]
    retried = {digest: row for digest, row in rows if row.run_id == retry_of}
    own = {digest: row for digest, row in rows if row.run_id == claim.run_id}
    under_way = {digest: row for digest, row in rows if row.state is FileState.BATCHED}
    return {digest: Reload(row.run_id, row.state) for digest, row in (retried | own | under_way).items()}


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
