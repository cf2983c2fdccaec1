"""Versions of a table's schema as the ingestion has seen them, each with the file that brought it.

Written in the transaction that finalises a batch, so no version is lost to a crash between the change of the
table and its record: the next finalise of the ingestion compares again.
"""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.model import BatchClaim, Column
from libs.common.ledger.tables import schema_version


async def record_schema(
    connection: AsyncConnection, claim: BatchClaim, columns: Sequence[Column], *, cause_key: str | None
) -> int:
    """The number of the schema version that holds after this batch; a new one if ``columns`` were never seen.

    A batch that was read back a moment before another one added a column shows an *older* schema: that is no new
    version, so all versions are compared, not only the latest.
    """
    # Two batches of one ingestion may finalise at once; the lock lasts until the transaction ends.
    lock = func.hashtextextended(f"schema:{claim.ingestion_id}", claim.generation)
    await connection.execute(select(func.pg_advisory_xact_lock(lock)))
    versions = (
        await connection.execute(
            select(schema_version.c.version, schema_version.c.columns)
            .where(
                schema_version.c.ingestion_id == claim.ingestion_id,
                schema_version.c.generation == claim.generation,
            )
            .order_by(schema_version.c.version)
        )
    ).all()
    now = [column.as_json() for column in columns]
    if any(v.columns == now for v in versions):
        return int(versions[-1].version)
    before = {c["name"] for v in versions for c in v.columns}
    version = int(versions[-1].version) + 1 if versions else 1
    await connection.execute(
        schema_version.insert().values(
            ingestion_id=claim.ingestion_id,
            generation=claim.generation,
            version=version,
            columns=now,
            added=[c["name"] for c in now if c["name"] not in before],
            batch_id=claim.id,
            cause_key=cause_key,
        )
    )
    return version
