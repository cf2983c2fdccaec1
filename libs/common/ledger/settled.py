"""Stretches of a listing in which a scan found nothing to do, and which the next one need not look at key by key.

A stretch is remembered by its fingerprint (``libs/common/objects/stretches.py``) when every object in it that its
source wants was settled. That stays so until the listing tells something else, and then the fingerprint is another one;
or until something that is loaded ceases to be, or another version is taken beside it. Each time, a trigger on
``ledger.file`` (migration 0028) writes a *break*, whoever changes the row and why, one for each transaction. What the
breaks of a generation add up to is its *epoch*, and a stretch counts only in the epoch in which it was found settled.

No lock is needed for that. The epoch is read before the look at the ledger: a break that it has was visible to the
look, with what it is about; and one that becomes visible later makes another epoch.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Interval,
    LargeBinary,
    and_,
    cast,
    delete,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from libs.common.ledger.arrays import rows_of
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.model.settled import Recognised, Tally
from libs.common.ledger.tables import settled_break, settled_stretch

KEPT = timedelta(days=7)
"""What no listing has shown for so long is deleted: its objects are in other stretches now, or gone."""

BREAKS_MAX = 1000
"""More of one generation are replaced by one."""

_COLUMNS: Mapping[str, TypeEngine[Any]] = {
    "fingerprint": LargeBinary(),
    "objects": Integer(),
    "named": Integer(),
    "of_age": Integer(),
}
_break, _stretch = settled_break.c, settled_stretch.c

# Asked for every few thousand keys of a listing: a constant, which SQLAlchemy need not build and render anew.
_REMEMBERED = text(
    """
    SELECT now.epoch, s.fingerprint, s.objects, s.named, s.of_age, s.seen_on < current_date AS is_old
    FROM (
        SELECT coalesce(bit_xor(mark), 0) AS epoch
        FROM ledger.settled_break WHERE ingestion_id = :ingestion_id AND generation = :generation
    ) AS now
    LEFT JOIN ledger.settled_stretch AS s
        ON s.ingestion_id = :ingestion_id AND s.generation = :generation AND s.epoch = now.epoch
        AND s.fingerprint = ANY(CAST(:fingerprints AS bytea[]))
    """
)


async def recognise(
    connection: AsyncConnection, claim: ScanClaim, fingerprints: Sequence[bytes]
) -> tuple[Recognised, list[bytes]]:
    """Those of the fingerprints that are remembered; and those of them of which it is not noted that they were seen
    today (``note``)."""
    asked = {
        "ingestion_id": claim.ingestion_id,
        "generation": claim.generation,
        "fingerprints": list(fingerprints),
    }
    rows = (await connection.execute(_REMEMBERED, asked)).all()
    found = [row for row in rows if row.fingerprint is not None]
    tallies = {bytes(r.fingerprint): Tally(r.objects, r.named, r.of_age) for r in found}
    return Recognised(int(rows[0].epoch), tallies), [bytes(r.fingerprint) for r in found if r.is_old]


async def note(connection: AsyncConnection, claim: ScanClaim, fingerprints: Sequence[bytes]) -> None:
    """These were seen today. What another scan is about to note is left to it."""
    free = select(_stretch.fingerprint).where(_ours(claim, fingerprints)).with_for_update(skip_locked=True)
    await connection.execute(
        update(settled_stretch)
        .where(_ours(claim, fingerprints), _stretch.fingerprint.in_(free))
        .values(seen_on=func.current_date())
    )


async def remember(connection: AsyncConnection, claim: ScanClaim, epoch: int, tallies: Mapping[bytes, Tally]) -> None:
    """Remembers stretches that were found settled, by a look at the ledger after ``epoch`` was told."""
    # In one order, so that two scans of an ingestion do not wait for each other in a circle.
    rows = rows_of("stretch", _COLUMNS, [(key, t.objects, t.named, t.of_age) for key, t in sorted(tallies.items())])
    same_for_all = {"ingestion_id": claim.ingestion_id, "generation": claim.generation, "epoch": epoch}
    statement = insert(settled_stretch).from_select(
        [*same_for_all, *_COLUMNS],
        select(*(literal(value, settled_stretch.c[name].type) for name, value in same_for_all.items()), *rows.c),
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["ingestion_id", "generation", "fingerprint"],
            set_={name: statement.excluded[name] for name in ("epoch", "objects", "named", "of_age", "seen_on")},
        )
    )


async def tidy(connection: AsyncConnection, claim: ScanClaim) -> None:
    """Deletes what is of earlier generations, and what no listing has shown for a week. Many breaks become one: another
    one, so that no epoch comes twice."""
    for table in (settled_stretch, settled_break):
        is_past = and_(table.c.ingestion_id == claim.ingestion_id, table.c.generation < claim.generation)
        await connection.execute(delete(table).where(is_past))
    mine = {"ingestion_id": claim.ingestion_id, "generation": claim.generation}
    is_unseen = _stretch.seen_on < func.current_date() - cast(KEPT, Interval)
    await connection.execute(delete(settled_stretch).filter_by(**mine).where(is_unseen))
    breaks = await connection.scalar(select(func.count()).select_from(settled_break).filter_by(**mine))
    if breaks is not None and breaks > BREAKS_MAX:
        # Those that are not visible yet stay.
        await connection.execute(delete(settled_break).filter_by(**mine))
        await connection.execute(insert(settled_break).values(**mine))


def _ours(claim: ScanClaim, fingerprints: Sequence[bytes]) -> ColumnElement[bool]:
    return and_(
        _stretch.ingestion_id == claim.ingestion_id,
        _stretch.generation == claim.generation,
        _stretch.fingerprint == func.any(list(fingerprints)),
    )
