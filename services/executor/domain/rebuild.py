"""What a ledger should say, told from the table's snapshots: which batches are published, and which files they hold.

The table has the last word. What it cannot prove any more is for the user to decide.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto

from libs.common.contracts.definition import OverwritePolicy
from libs.common.errors import Permanent
from libs.common.ledger.model.audits import BatchRow, RestoredBatch, VersionRow
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import BatchState, FileState
from services.executor.domain.reconcile import NamedFiles, is_unproven
from services.executor.domain.story import TableBatch, TableStory, ingestions_in

CLOCKS_DIFFER = timedelta(minutes=10)
"""How much later than the store's clock the catalog's may be."""
_OPEN = frozenset({FileState.DISCOVERED, FileState.BATCHED, FileState.SUPERSEDED, FileState.MISSING, FileState.SKIPPED})


class Verdict(Enum):
    """What a rebuild makes of a file version."""

    KEPT = auto()
    """The ledger says something about it that stays."""
    PROVED = auto()
    """A snapshot names it: committed."""
    UNPROVEN = auto()
    """It may have been loaded in a part of the history that is gone."""
    NEW = auto()
    """It was not loaded: the next run does."""


class Rebuilding:
    """The decisions of one rebuild."""

    def __init__(
        self,
        sources: Collection[str],
        batches: Sequence[BatchRow],
        story: TableStory,
        generation: int,
        overwrites: OverwritePolicy = "skip",
    ) -> None:
        """``sources`` are the ids of the ingestions under which the table was loaded; ``generation`` is the table's;
        ``overwrites``: what runs do with a loaded file that was overwritten."""
        self._appends = overwrites == "append"
        in_ledger = {b.id: b for b in batches}
        held = {
            b.batch_id: b
            for b in story.batches
            if not b.is_burn and (b.ingestion_id in sources or b.batch_id in in_ledger)
        }
        self.held = tuple(held.values())
        self.restored = tuple(
            b for b in self.held if b.batch_id not in in_ledger or not _is_published(in_ledger[b.batch_id])
        )
        # A batch of an older generation is in the table that a refresh set aside, unless this one has its snapshot; or
        # in snapshots of this one from before a swap, to which an undo goes back.
        self.withdrawn = frozenset(
            b.id
            for b in batches
            if _is_published(b)
            and b.id not in held
            and not is_unproven(b, story)
            and (b.generation == generation or (b.snapshot_id in story.snapshots and b.id not in story.replaced))
        )
        self._named = NamedFiles(self.held)
        self._quarantined = story.quarantined
        self._replacing = frozenset(b.batch_id for b in self.restored if b.replaces_rows)
        self._horizon = _horizon(self.held, story)

    def look_at(self, f: FileVersion, versions: Sequence[VersionRow]) -> tuple[Verdict, str | None]:
        """The verdict, and the batch that proves it. ``versions`` is all that the ledger has of the key."""
        mine = next((v for v in versions if v.version_tag == f.version_tag), None)
        found = self._named.batch_of(f)
        if found is not None and (found.batch_id in self._replacing or mine is None or not self._is_loaded(mine)):
            return Verdict.PROVED, found.batch_id  # whatever version of the key the ledger has from before
        # Where versions are added to each other, one that is loaded says nothing of another.
        if any(self._is_loaded(v) for v in ((mine,) if self._appends else versions) if v is not None):
            return Verdict.KEPT, None
        if mine is not None and mine.state not in _OPEN and mine.state is not FileState.COMMITTED:
            return Verdict.KEPT, None
        was_withdrawn = mine is not None and mine.state is FileState.COMMITTED
        if not was_withdrawn and self._horizon is not None and f.last_modified <= self._horizon + CLOCKS_DIFFER:
            return Verdict.UNPROVEN, None
        return Verdict.NEW, None

    def given_way(self, f: FileVersion, versions: Sequence[VersionRow], batch_id: str | None) -> frozenset[str]:
        """The tags of the key's other versions that the ledger calls loaded, and whose rows gave way to those of ``f``,
        which ``batch_id`` proves, or of others. The rest is in the table beside it."""
        replaces = any(b.batch_id == batch_id and b.replaces_rows for b in self.held)
        mute = {b.batch_id for b in self.held if b.files is None}
        return frozenset(
            v.version_tag
            for v in versions
            if v.version_tag != f.version_tag
            and self._is_loaded(v)
            and not self._named.holds(f, v.version_tag)
            and (replaces or (v.state is FileState.COMMITTED and v.batch_id not in mute and batch_id is not None))
        )

    def _is_loaded(self, v: VersionRow) -> bool:
        return v.state is FileState.BASELINE or (v.state is FileState.COMMITTED and v.batch_id not in self.withdrawn)

    def batch_of(self, batch: TableBatch) -> RestoredBatch:
        """A batch of the table, as the ledger keeps it."""
        return RestoredBatch(
            id=batch.batch_id,
            run_id=batch.run_id,
            snapshot_id=batch.snapshot_id,
            rows=batch.rows,
            bytes_written=batch.size_bytes,
            files=len(batch.files or ()),
            rows_removed=batch.rows_removed,
            bad=self._quarantined.get(batch.batch_id, {}),
        )


def check(table: str, sources: Collection[str], plan: Rebuilding, story: TableStory | None) -> None:
    """
    Raises:
        Permanent: codes ``table_missing``, ``loaded_under_another_id``: there is nothing to rebuild from.
    """
    if story is None:
        raise Permanent(f"table {table} does not exist", code="table_missing", hint="bring the table back first")
    others = {one: count for one, count in ingestions_in(story).items() if one not in sources}
    if not plan.held and others:
        named = ", ".join(f"{one} ({count} batches)" for one, count in sorted(others.items())[:10])
        raise Permanent(
            f"{table} holds no batch of this ingestion; it was loaded by {named}",
            code="loaded_under_another_id",
            hint="if the ingestion was created again, repeat with --from-ingestion and its old id",
        )


def refusal(table: str, unproven: int, example: str) -> Permanent:
    """Files may have been loaded before the table's oldest snapshot, and nobody said what to make of them."""
    return Permanent(
        f"{unproven:,} files may have been loaded into {table} in a part of its history that was expired, {example} "
        "among them: nothing proves it, and nothing proves the opposite",
        code="history_expired",
        hint="look for their rows in the table, then repeat with --unproven committed (take them as loaded) or "
        "--unproven new (load them)",
    )


def _is_published(batch: BatchRow) -> bool:
    return batch.state is BatchState.PUBLISHED


def _horizon(held: Sequence[TableBatch], story: TableStory) -> datetime | None:
    """What landed later than this was loaded, if at all, by a batch that names its files."""
    mute = [b.committed_at for b in held if b.files is None]
    cut = [story.since] if story.is_cut and story.since is not None else []
    return max([*mute, *cut], default=None)
