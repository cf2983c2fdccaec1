"""What a table's snapshots tell: which batches its rows came from, and how far back one can see."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.executor.domain import evidence


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot, as the table lists it. ``wap_id``, ``files``, ``replaced`` and ``run_id`` are its own, or its
    source's if it was picked; None where nobody wrote them, or where they were expired."""

    id: int
    parent_id: int | None
    committed_at: datetime
    wap_id: str | None
    is_burn: bool
    rows: int
    size_bytes: int
    run_id: str | None = None
    files: str | None = None
    rows_removed: int = 0
    replaced: str | None = None


@dataclass(frozen=True, slots=True)
class TableBatch:
    """A batch that entered the table. ``files`` are the numbers of its file versions whose rows are still there, None
    if nothing names them; ``rows_removed``: rows of earlier batches that it replaced."""

    batch_id: str
    ingestion_id: str
    generation: int
    snapshot_id: int
    committed_at: datetime
    is_burn: bool
    rows: int
    size_bytes: int
    run_id: str | None
    files: tuple[int, ...] | None
    rows_removed: int = 0
    replaces_rows: bool = False


@dataclass(frozen=True, slots=True)
class TableStory:
    """The table's side of an audit. ``batches`` are in its ancestry, oldest first, since its rows were replaced as a
    whole, if ever; ``replaced`` are the ids of those before. ``snapshots`` are all that it still has. ``is_cut``: the
    ancestry once went further back than ``since``; its beginning was expired. ``quarantined`` are the records
    beside the table that do not fit it: how many, by batch and file."""

    batches: tuple[TableBatch, ...] = ()
    replaced: frozenset[str] = frozenset()
    snapshots: frozenset[int] = frozenset()
    is_cut: bool = False
    since: datetime | None = None
    data_files: int = 0
    data_files_twice: tuple[str, ...] = ()
    quarantined: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def tell(
    snapshots: Iterable[Snapshot],
    current: int | None,
    *,
    data_files: int = 0,
    data_files_twice: tuple[str, ...] = (),
    quarantined: Mapping[str, Mapping[str, int]] | None = None,
) -> TableStory:
    """The story of the snapshots from ``current`` back."""
    by_id = {s.id: s for s in snapshots}
    ancestry: list[Snapshot] = []
    at = current
    while at is not None and at in by_id:
        ancestry.append(by_id[at])
        at = by_id[at].parent_id
    ancestry.reverse()
    batches: list[TableBatch] = []
    replaced: set[str] = set()
    for s in ancestry:
        if s.replaced == evidence.EVERYTHING:
            replaced |= {b.batch_id for b in batches}
            batches = []
        if (found := _batch_of(s)) is not None:
            batches = [*_without(batches, found.ingestion_id, _numbers(s.replaced)), found]
    return TableStory(
        batches=tuple(batches),
        replaced=frozenset(replaced),
        snapshots=frozenset(by_id),
        is_cut=at is not None,
        since=ancestry[0].committed_at if ancestry else None,
        data_files=data_files,
        data_files_twice=data_files_twice,
        quarantined=quarantined or {},
    )


def ingestions_in(story: TableStory) -> Mapping[str, int]:
    """How many batches with data each ingestion has in the table."""
    counts: dict[str, int] = {}
    for b in story.batches:
        if not b.is_burn:
            counts[b.ingestion_id] = counts.get(b.ingestion_id, 0) + 1
    return counts


def _batch_of(snapshot: Snapshot) -> TableBatch | None:
    parts = (snapshot.wap_id or "").split(":")
    if len(parts) != 4 or parts[0] != "al1" or not parts[2].isdecimal():
        return None
    return TableBatch(
        batch_id=parts[3],
        ingestion_id=parts[1],
        generation=int(parts[2]),
        snapshot_id=snapshot.id,
        committed_at=snapshot.committed_at,
        is_burn=snapshot.is_burn,
        rows=snapshot.rows,
        size_bytes=snapshot.size_bytes,
        run_id=snapshot.run_id,
        files=_numbers(snapshot.files),
        rows_removed=snapshot.rows_removed,
        replaces_rows=snapshot.replaced is not None,
    )


def _without(batches: list[TableBatch], ingestion_id: str, replaced: tuple[int, ...] | None) -> list[TableBatch]:
    """The batches, of which an ingestion's have lost the rows of some file versions to a later one."""
    if not replaced:
        return batches
    gone = frozenset(replaced)
    return [
        replace(b, files=tuple(n for n in b.files if n not in gone))
        if b.files is not None and b.ingestion_id == ingestion_id
        else b
        for b in batches
    ]


def _numbers(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else evidence.read(text)
    except ValueError:
        return None
