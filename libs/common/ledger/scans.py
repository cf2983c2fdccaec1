"""The ledger as a scanner uses it: claim a run's listing, record it page by page, end it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, text, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Problem, ScanCompleted, ScanFailed, ScanProgress, ScanStarted
from libs.common.errors import Fenced
from libs.common.ids import IngestionId, RunId
from libs.common.ledger import backlogs, hints, overwritten, pace, scan_pages, settled, watermarks
from libs.common.ledger.ingestions import halt_of, hold_generation
from libs.common.ledger.known import known_versions, look
from libs.common.ledger.model.backlogs import Backlog
from libs.common.ledger.model.batches import PastBatch
from libs.common.ledger.model.files import FileVersion, KnownVersion, Looked, Reload
from libs.common.ledger.model.hints import HintedKey
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.model.settled import Recognised, Tally
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX, RunLog, begin_run
from libs.common.ledger.states import FileState, ScanState
from libs.common.ledger.tables import file, ingestion, scan
from libs.common.storage.control import run
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox

_UNLEASED = or_(scan.c.lease_until.is_(None), scan.c.lease_until < func.clock_timestamp())


class ScanLedger:
    """Guards one scanner's claims. ``owner`` names the process in the tables; the lease is on the database clock."""

    def __init__(self, database: Database, outbox: Outbox, *, owner: str, lease: timedelta) -> None:
        self._database = database
        self._outbox = outbox
        self._log = RunLog(outbox)
        self._owner = owner
        self._lease = lease

    async def claim(self, run_id: RunId, ingestion_id: IngestionId, generation: int) -> ScanClaim | None:
        """The right to list for this run; None while another scanner holds it, or when the listing is over.

        Raises:
            Fenced: a refresh has begun another generation.
        """
        async with self._database.begin() as connection:
            await hold_generation(connection, ingestion_id, generation)
            await begin_run(connection, run_id, ingestion_id, generation)
            row = (
                await connection.execute(
                    update(scan)
                    .where(
                        scan.c.run_id == run_id,
                        scan.c.state == ScanState.SCANNING,
                        _UNLEASED,
                    )
                    .values(token=scan.c.token + 1, attempts=scan.c.attempts + 1, owner=self._owner, **self._fresh())
                    .returning(scan.c.token, scan.c.attempts, scan.c.updated_at)
                )
            ).one_or_none()
            if row is None:
                return None
            await self._log.record(connection, run_id, lambda h: ScanStarted(**h.fields(), attempt=row.attempts))
        return ScanClaim(run_id, ingestion_id, generation, row.token, row.attempts, row.updated_at)

    async def halt_of(self, claim: ScanClaim) -> Problem | None:
        """Why nothing is loaded for this ingestion at the moment, if so."""
        async with self._database.read() as connection:
            return await halt_of(connection, claim.ingestion_id)

    async def known(self, claim: ScanClaim, files: Sequence[FileVersion]) -> dict[bytes, tuple[KnownVersion, ...]]:
        """All versions that the ledger has of these keys, by digest. Keys it never saw are absent."""
        async with self._database.read() as connection:
            return await known_versions(connection, claim.ingestion_id, claim.generation, files, run_id=claim.run_id)

    async def look(self, claim: ScanClaim, files: Sequence[FileVersion]) -> Looked:
        """As ``known``, without the keys that are settled: for runs that pass them over (``Terms``)."""
        async with self._database.read() as connection:
            return await look(connection, claim.ingestion_id, claim.generation, files, run_id=claim.run_id)

    async def recognise(self, claim: ScanClaim, fingerprints: Sequence[bytes]) -> Recognised:
        """Which stretches of a listing hold nothing but what is settled, because an earlier scan found it so."""
        async with self._database.begin() as connection:  # one statement has one snapshot
            recognised, unnoted = await settled.recognise(connection, claim, fingerprints)
            if unnoted:
                await settled.note(connection, claim, unnoted)
        return recognised

    async def remember(self, claim: ScanClaim, epoch: int, tallies: Mapping[bytes, Tally]) -> None:
        """For later scans: these stretches hold nothing but what is settled. ``epoch``: as it was told before the look
        at the ledger that says so; they count while it is the same."""
        async with self._database.begin() as connection:
            await settled.remember(connection, claim, epoch, tallies)

    async def backlog(self, claim: ScanClaim) -> Backlog:
        """What executors have before them."""
        async with self._database.read() as connection:
            return await backlogs.backlog(connection, claim)

    async def past_batches(self, claim: ScanClaim, *, at_least: timedelta) -> list[PastBatch]:
        """The latest batches of this table that were published and took so long, or longer."""
        async with self._database.read() as connection:
            return await pace.past_batches(connection, claim, at_least=at_least)

    async def taken(self, claim: ScanClaim) -> tuple[int, int]:
        """How many files earlier attempts at this listing have put into batches, and how many bytes they have."""
        query = select(func.count(), func.coalesce(func.sum(file.c.size_bytes), 0)).where(
            file.c.ingestion_id == claim.ingestion_id,
            file.c.generation == claim.generation,
            file.c.run_id == claim.run_id,
            file.c.state.not_in([FileState.DISCOVERED, FileState.SKIPPED]),
        )
        async with self._database.read() as connection:
            files, size_bytes = (await connection.execute(query)).one()
            files_on_their_way, bytes_on_their_way = await overwritten.taken(connection, claim)
        return int(files) + files_on_their_way, int(size_bytes) + bytes_on_their_way

    async def reloads(
        self, claim: ScanClaim, files: Sequence[FileVersion], *, retry_of: RunId | None = None
    ) -> dict[bytes, Reload]:
        """Of keys that are loaded: which are being loaded again, by any run, and what came of it in this run, or else
        in the one that it retries. A batch that would replace one that is on its way is refused (``Fenced``)."""
        if not files:
            return {}
        async with self._database.read() as connection:
            return await overwritten.reloads(connection, claim, [f.digest for f in files], retry_of)

    async def failed_keys(self, claim: ScanClaim, *, after: str | None, limit: int) -> list[str]:
        """Keys with a version that failed or went missing, or that this very run has found and not batched yet, in the
        order of their bytes, from behind ``after`` on."""
        is_found = and_(file.c.state == FileState.DISCOVERED, file.c.run_id == claim.run_id)
        is_open = or_(file.c.state.in_([FileState.FAILED, FileState.MISSING]), is_found)
        return await self._keys(claim, is_open, after, limit)

    async def waiting_keys(self, claim: ScanClaim, *, after: str | None, limit: int) -> list[str]:
        """Keys with a version that a run has found and that is in no batch, as ``failed_keys`` gives them."""
        return await self._keys(claim, file.c.state == FileState.DISCOVERED, after, limit)

    async def _keys(self, claim: ScanClaim, which: ColumnElement[bool], after: str | None, limit: int) -> list[str]:
        query = (
            select(file.c.key.collate("C").label("key"))
            .distinct()
            .where(file.c.ingestion_id == claim.ingestion_id, file.c.generation == claim.generation, which)
            .order_by(text("key"))
            .limit(limit)
        )
        if after is not None:
            query = query.where(file.c.key.collate("C") > after)
        async with self._database.read() as connection:
            return list(await connection.scalars(query))

    async def newest_hint(self, claim: ScanClaim) -> int:
        """The number of the latest hint, 0 if there never was one. None with a lower number comes any more."""
        async with self._database.read() as connection:
            return await hints.newest(connection, claim.ingestion_id)

    async def hinted_keys(self, claim: ScanClaim, *, after: int, through: int, limit: int) -> list[HintedKey]:
        """Keys that were noticed, with numbers above ``after`` and up to ``through``, in the order of those."""
        async with self._database.read() as connection:
            return await hints.keys(connection, claim.ingestion_id, after=after, through=through, limit=limit)

    async def noticed(self, claim: ScanClaim, files: Sequence[FileVersion]) -> set[bytes]:
        """The digests of those of which a notification has told, and at which no scan has looked since."""
        if not files:
            return set()
        async with self._database.read() as connection:
            return await hints.noticed(connection, claim.ingestion_id, [f.digest for f in files])

    async def record(self, claim: ScanClaim, page: Page) -> None:
        """Writes a page: its files, its full batches, and the events that tell of them.

        Raises:
            Fenced: another scanner took the run over; nothing was written.
        """
        async with self._database.begin() as connection:
            await self._extend(connection, claim)
            change = await scan_pages.record(connection, self._outbox, claim, page)
            await self._log.record(
                connection,
                claim.run_id,
                lambda h: ScanProgress(
                    **h.fields(), problems=tuple(r.problem for r in page.refused[:PROBLEMS_IN_AN_EVENT_MAX])
                ),
                change=change,
            )

    async def complete(
        self, claim: ScanClaim, last: Page, warnings: tuple[str, ...], *, is_whole: bool = False
    ) -> None:
        """Ends the listing: its last batches, and nothing more will be planned for this run. What an earlier attempt
        found and this one did not is told as missing. ``is_whole``: it has shown all that the source had when it began.

        Raises:
            Fenced: as in ``record``.
        """
        async with self._database.begin() as connection:
            await self._extend(connection, claim)
            change = await scan_pages.record(connection, self._outbox, claim, last)
            if claim.attempt > 1:
                await scan_pages.tell_what_is_gone(connection, self._log, claim)
            if is_whole:
                await watermarks.listed(connection, claim)
                await settled.tidy(connection, claim)
            await self._log.record(
                connection,
                claim.run_id,
                lambda h: ScanCompleted(**h.fields(), warnings=warnings),
                change=change,
                scan_state=ScanState.SCANNED,
            )

    async def break_off(self, claim: ScanClaim, problem: Problem) -> None:
        """Ends the listing because it cannot go on. Files that were seen but not batched wait for the next run.

        Raises:
            Fenced: as in ``record``.
        """
        async with self._database.begin() as connection:
            await self._extend(connection, claim)
            await self._log.record(
                connection,
                claim.run_id,
                lambda h: ScanFailed(**h.fields(), problem=problem),
                scan_state=ScanState.BROKEN,
            )

    async def extend(self, claim: ScanClaim) -> None:
        """Heartbeat: a full lease from now. Does nothing when this claim has ended the listing itself meanwhile.

        Raises:
            Fenced: the claim is lost.
        """
        async with self._database.begin() as connection:
            try:
                await self._extend(connection, claim)
            except Fenced:
                token = await connection.scalar(select(scan.c.token).where(scan.c.run_id == claim.run_id))
                if token != claim.token:
                    raise

    async def release(self, claim: ScanClaim) -> None:
        """Gives the listing back at once, for the next scanner; does nothing when the claim is lost already."""
        async with self._database.begin() as connection:
            await connection.execute(update(scan).where(self._held(claim)).values(lease_until=None))

    async def claimable(self, *, requested_before: timedelta, limit: int) -> list[tuple[RunId, IngestionId, int]]:
        """Listings that nobody works on, oldest first: (run, ingestion, generation). Their lease ended, or no scanner
        came within ``requested_before``. Not those of a generation that a refresh has outlived: no claim of them
        would succeed, and they would stand before the others."""
        left_behind = (
            select(scan.c.run_id, scan.c.ingestion_id, scan.c.generation, scan.c.created_at.label("since"))
            .outerjoin(ingestion, ingestion.c.ingestion_id == scan.c.ingestion_id)
            .where(scan.c.state == ScanState.SCANNING, _UNLEASED, _is_live(scan.c.generation))
        )
        never_begun = (
            select(run.c.id, run.c.ingestion_id, run.c.generation, run.c.dispatched_at)
            .outerjoin(scan, scan.c.run_id == run.c.id)
            .outerjoin(ingestion, ingestion.c.ingestion_id == run.c.ingestion_id)
            .where(
                _is_live(run.c.generation),
                run.c.ended_at.is_(None),
                run.c.dispatched_at < func.clock_timestamp() - requested_before,
                scan.c.run_id.is_(None),
            )
        )
        async with self._database.read() as connection:
            rows = await connection.execute(union_all(left_behind, never_begun).order_by("since").limit(limit))
            return [(RunId(r.run_id), IngestionId(r.ingestion_id), r.generation) for r in rows]

    def _held(self, claim: ScanClaim) -> ColumnElement[bool]:
        return and_(scan.c.run_id == claim.run_id, scan.c.token == claim.token, scan.c.state == ScanState.SCANNING)

    def _fresh(self) -> dict[str, Any]:
        return {"lease_until": func.clock_timestamp() + self._lease, "updated_at": func.clock_timestamp()}

    async def _extend(self, connection: AsyncConnection, claim: ScanClaim) -> None:
        moved = await connection.execute(update(scan).where(self._held(claim)).values(**self._fresh()))
        if moved.rowcount == 0:
            raise Fenced(f"the listing of run {claim.run_id}")


def _is_live(generation: ColumnElement[int]) -> ColumnElement[bool]:
    """Of a query that has ``ledger.ingestion`` joined; its row is made by the first claim."""
    return generation >= func.coalesce(ingestion.c.generation, 0)
