"""Loaded keys as a scanner meets them again: what is being done to their rows, and room beside them for later versions.

The functions run inside the transactions of ``scans.py``.
"""

from collections.abc import Sequence

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.errors import Fenced
from libs.common.ids import RunId
from libs.common.ledger.model.files import Reload
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.replacements import ON_THE_WAY, hold_loaded, of_keys
from libs.common.ledger.states import LOADED_FILE_STATES, FileState
from libs.common.ledger.tables import file, replacement


async def make_room(connection: AsyncConnection, claim: ScanClaim, digests: Sequence[bytes]) -> None:
    """Loaded versions of these keys stay, and later ones are about to be taken beside them.

    Raises:
        Fenced: a batch is replacing the rows of one of them.
    """
    # Locked before the look at replacements, as ``plan`` locks them before its own: of two, one sees the other.
    await hold_loaded(connection, claim, digests)
    if await connection.scalar(select(exists().where(of_keys(claim, replacement, digests), ON_THE_WAY))):
        raise Fenced(f"a file that run {claim.run_id} found")
    await connection.execute(
        update(file)
        .where(of_keys(claim, file, digests), file.c.state.in_(LOADED_FILE_STATES))
        .values(overwritten=True, updated_at=func.now())
    )


async def reloads(
    connection: AsyncConnection, claim: ScanClaim, digests: Sequence[bytes], retry_of: RunId | None
) -> dict[bytes, Reload]:
    """What is being reloaded of these keys, or was in the claim's own run, or in the one that it retries; others are
    absent. The first that is so counts."""
    runs = [claim.run_id, *([retry_of] if retry_of is not None else [])]
    rows = await connection.execute(
        select(replacement.c.key_digest, replacement.c.run_id, replacement.c.state)
        .where(of_keys(claim, replacement, digests), or_(replacement.c.run_id.in_(runs), ON_THE_WAY))
        .order_by(ON_THE_WAY, replacement.c.run_id == claim.run_id)
    )
    return {bytes(r.key_digest): Reload(RunId(r.run_id), FileState(r.state)) for r in rows}


async def taken(connection: AsyncConnection, claim: ScanClaim) -> tuple[int, int]:
    """How many files the run has put on their way that ``ledger.file`` does not have as its own, and their bytes."""
    is_in_file = exists().where(
        file.c.ingestion_id == replacement.c.ingestion_id,
        file.c.generation == replacement.c.generation,
        file.c.key_digest == replacement.c.key_digest,
        file.c.version_tag == replacement.c.version_tag,
        file.c.run_id == claim.run_id,
    )
    query = select(func.count(), func.coalesce(func.sum(replacement.c.size_bytes), 0)).where(
        replacement.c.run_id == claim.run_id, ~is_in_file
    )
    files, size_bytes = (await connection.execute(query)).one()
    return int(files), int(size_bytes)
