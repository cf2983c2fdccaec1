"""What the ledger has of keys that somebody listed. Reading only: scanners ask before they take a file, and the API
before it promises to."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ids import IngestionId, RunId
from libs.common.ledger.model.files import FileVersion, KnownVersion, is_by_policy
from libs.common.ledger.states import FileState, ScanState
from libs.common.ledger.tables import file, scan


async def known_versions(
    connection: AsyncConnection,
    ingestion_id: IngestionId,
    generation: int,
    files: Sequence[FileVersion],
    *,
    run_id: RunId | None = None,
) -> dict[bytes, tuple[KnownVersion, ...]]:
    """All versions of these keys, by digest. Keys it never saw are absent. ``run_id`` is the run that asks: what it
    has found itself is not held against it."""
    if not files:
        return {}
    rows = await connection.execute(
        select(
            file.c.key_digest,
            file.c.version_tag,
            file.c.state,
            file.c.run_id,
            file.c.error_type,
            (scan.c.state == ScanState.SCANNING).label("is_listing"),
        )
        .outerjoin(scan, scan.c.run_id == file.c.run_id)
        .where(
            file.c.ingestion_id == ingestion_id,
            file.c.generation == generation,
            file.c.key_digest == func.any([f.digest for f in files]),
        )
    )
    found: dict[bytes, list[KnownVersion]] = {}
    for row in rows:
        state = FileState(row.state)
        waits = state is FileState.DISCOVERED
        version = KnownVersion(
            row.version_tag,
            state,
            RunId(row.run_id),
            given_up=waits and row.error_type is not None,
            held=waits and bool(row.is_listing) and row.run_id != run_id,
            by_policy=is_by_policy(state, row.error_type),
        )
        found.setdefault(bytes(row.key_digest), []).append(version)
    return {digest: tuple(versions) for digest, versions in found.items()}
