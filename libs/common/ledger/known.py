"""What the ledger has of keys that somebody listed. Reading only: scanners ask before they take a file, and the API
before it promises to."""

from collections.abc import Sequence

from sqlalchemy import Text, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ids import IngestionId, RunId
from libs.common.ledger.model.files import FileVersion, KnownVersion, Looked, is_by_policy, last_of_each
from libs.common.ledger.states import LOADED_FILE_STATES, UNDECIDED_FILE_STATES, FileState, ScanState
from libs.common.ledger.tables import file, scan

# What ``KeyStanding.is_settled`` decides, for a page at once: in a bucket where little is new, nearly every key is
# settled, and nothing of it needs to leave the database. One look into the primary key for each.
_UNSETTLED = text(
    """
    SELECT page.number
    FROM unnest(CAST(:digests AS bytea[]), CAST(:tags AS text[])) WITH ORDINALITY AS page (digest, tag, number)
    CROSS JOIN LATERAL (
        SELECT
            bool_or(f.version_tag = page.tag AND f.state IN :loaded AND f.run_id IS DISTINCT FROM :run_id) AS is_loaded,
            bool_or(f.state IN :undecided) AS is_undecided
        FROM ledger.file AS f
        WHERE f.ingestion_id = :ingestion_id AND f.generation = :generation AND f.key_digest = page.digest
    ) AS key
    WHERE is_loaded IS NOT TRUE OR is_undecided
    ORDER BY page.number
    """
).bindparams(
    bindparam("loaded", sorted(LOADED_FILE_STATES), Text, expanding=True, literal_execute=True),
    bindparam("undecided", sorted(UNDECIDED_FILE_STATES), Text, expanding=True, literal_execute=True),
)


async def look(
    connection: AsyncConnection,
    ingestion_id: IngestionId,
    generation: int,
    files: Sequence[FileVersion],
    *,
    run_id: RunId | None = None,
) -> Looked:
    """Passes settled keys over, and gives all versions of the others. ``run_id`` as in ``known_versions``; what it has
    loaded itself is not settled for it."""
    page = last_of_each(files)
    if not page:
        return Looked((), {})
    numbers = await connection.scalars(
        _UNSETTLED,
        {
            "digests": list(page),
            "tags": [f.version_tag for f in page.values()],
            "ingestion_id": ingestion_id,
            "generation": generation,
            "run_id": run_id,
        },
    )
    versions = list(page.values())
    others = tuple(versions[number - 1] for number in numbers)
    known = await known_versions(connection, ingestion_id, generation, others, run_id=run_id)
    return Looked(others, known, settled=len(page) - len(others))


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
