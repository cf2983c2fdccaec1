"""What the ledger keeps of bad records: of each file of a batch how many, and the first of them.

Written when a batch passed its audit, as the rows' counts are: after a crash they cannot be counted again. They are
true of a file while this batch is the one that loaded it; a batch that is burned leaves nothing in the quarantine, and
its entries here are nobody's. The functions run inside the transactions of ``batches.py``.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem
from libs.common.ids import BatchId, IngestionId
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.files import BadRecord, BadRecords
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX
from libs.common.ledger.tables import file, quarantined, replacement, storable


async def keep(
    connection: AsyncConnection, batch_id: BatchId, ingestion_id: IngestionId, bad: Mapping[bytes, BadRecords]
) -> None:
    """Instead of what an earlier attempt at the batch found."""
    await connection.execute(delete(quarantined).where(quarantined.c.batch_id == batch_id))
    if bad:
        await connection.execute(
            quarantined.insert(),
            [
                {
                    "batch_id": batch_id,
                    "key_digest": digest,
                    "ingestion_id": ingestion_id,
                    "records": found.count,
                    "first": [_as_json(record) for record in found.first],
                }
                for digest, found in bad.items()
            ],
        )


def are_of(files: Table) -> ColumnElement[bool]:
    """Whether bad records are of a file version of this ledger table, in the batch that it names."""
    return and_(
        quarantined.c.batch_id == files.c.batch_id,
        quarantined.c.key_digest == files.c.key_digest,
        or_(quarantined.c.version_tag == "", quarantined.c.version_tag == files.c.version_tag),
    )


async def problems(connection: AsyncConnection, claim: BatchClaim) -> tuple[Problem, ...]:
    """What the run tells of the batch's files with bad records: the first of them."""
    files = replacement if claim.replaces_rows else file
    rows = await connection.execute(
        select(files.c.bucket, files.c.key, quarantined.c.records, quarantined.c.first, files.c.row_count)
        .join_from(quarantined, files, are_of(files))
        .where(quarantined.c.batch_id == claim.id)
        .order_by(files.c.key.collate("C"))
        .limit(PROBLEMS_IN_AN_EVENT_MAX)
    )
    return tuple(problem(f"s3://{r.bucket}/{r.key}", r.row_count or 0, bad_records(r.records, r.first)) for r in rows)


def problem(uri: str, rows: int, bad: BadRecords) -> Problem:
    """What the user is told of a file, some of whose records stand in the quarantine."""
    first = bad.first[0] if bad.first else None
    where = "" if first is None else f"; the first, {_place(first)}: {first.reason}"
    return Problem(
        error_type="bad_records",
        message=f"{uri}: {bad.count:,} of {rows + bad.count:,} records were set aside{where}",
        hint="the others are loaded. GET …/quarantine shows the first bad ones, the quarantine table has all",
        file=uri,
        line=first.line if first else None,
    )


def bad_records(count: int, first: list[dict[str, Any]]) -> BadRecords:
    """As the ledger keeps them."""
    return BadRecords(count, tuple(BadRecord(r["line"], r["reason"], r["raw"]) for r in first))


def _place(record: BadRecord) -> str:
    return "at a place that is not known" if record.line is None else f"line {record.line}"


def _as_json(record: BadRecord) -> dict[str, Any]:
    raw = None if record.raw is None else storable(record.raw)
    return {"line": record.line, "reason": storable(record.reason), "raw": raw}
