"""Versions of a table's schema as the ingestion has seen them, each with what changed and which file asked for it.

Written in the transaction that finalises a batch, so no version is lost to a crash between the change of the
table and its record: the next finalise of the ingestion compares again.
"""

from dataclasses import asdict

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.ledger.model.batches import BatchClaim, PublishedBatch
from libs.common.ledger.tables import schema_version, storable
from libs.common.schema_diff import differences


async def record_schema(connection: AsyncConnection, claim: BatchClaim, found: PublishedBatch) -> int:
    """The number of the schema version that holds after this batch; a new one if the columns were never seen.

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
    now = [column.as_json() for column in found.columns]
    if any(v.columns == now for v in versions):
        return int(versions[-1].version)
    before = {c["name"] for v in versions for c in v.columns}
    version = int(versions[-1].version) + 1 if versions else 1
    latest = {c["name"]: c["type"] for c in versions[-1].columns} if versions else {}
    evidence = {e.column: e for e in found.evidence}
    changes = []
    for difference in differences(latest, {c.name: c.type for c in found.columns}):
        seen = evidence.get(difference.column)
        example = storable(seen.example) if seen and seen.example is not None else None
        changes.append({**asdict(difference), "file": seen.file if seen else None, "example": example})
    await connection.execute(
        schema_version.insert().values(
            ingestion_id=claim.ingestion_id,
            generation=claim.generation,
            version=version,
            columns=now,
            added=[c["name"] for c in now if c["name"] not in before],
            batch_id=claim.id,
            run_id=claim.run_id,
            cause_key=found.cause_key,
            mode=found.mode,
            changes=changes,
        )
    )
    return version
