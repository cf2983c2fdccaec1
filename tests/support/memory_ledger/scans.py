"""The scanner's half of the ledger in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from libs.common.contracts.events import Problem, ScanCompleted, ScanFailed, ScanProgress, ScanStarted, Totals
from libs.common.errors import Fenced
from libs.common.ids import IngestionId, RunId
from libs.common.ledger.model.backlogs import Backlog
from libs.common.ledger.model.batches import PastBatch, gone
from libs.common.ledger.model.files import FileVersion, KnownVersion, Looked, Reload, is_by_policy, last_of_each
from libs.common.ledger.model.hints import HintedKey
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.model.settled import Recognised, Tally
from libs.common.ledger.pace import BATCHES_MAX
from libs.common.ledger.run_log import PROBLEMS_IN_AN_EVENT_MAX
from libs.common.ledger.states import FINAL_BATCH_STATES, LIVE_FILE_STATES, FileState, ScanState
from libs.common.selection.standing import KeyStanding
from tests.support.memory_ledger import replacements, watermarks
from tests.support.memory_ledger.rows import FileRow
from tests.support.memory_ledger.tables import ScanRow, Tables


class MemoryScanLedger:
    """As ``libs.common.ledger.scans.ScanLedger``."""

    def __init__(self, tables: Tables, *, owner: str, lease: timedelta) -> None:
        self._tables = tables
        self._owner = owner
        self._lease = lease

    async def claim(self, run_id: RunId, ingestion_id: IngestionId, generation: int) -> ScanClaim | None:
        async with self._tables.transaction():
            self._tables.hold_generation(ingestion_id, generation)
            scans = self._tables.scans
            row = scans.setdefault(run_id, ScanRow(run_id, ingestion_id, generation, self._tables.clock()))
            if row.state is not ScanState.SCANNING or not self._tables.is_free(row.lease_until):
                return None
            row = replace(row, token=row.token + 1, attempts=row.attempts + 1, owner=self._owner)
            scans[run_id] = replace(row, lease_until=self._fresh())
            began_at = self._tables.clock()
            self._tables.log(run_id, lambda h: ScanStarted(**h.fields(), attempt=row.attempts))
        return ScanClaim(run_id, ingestion_id, generation, row.token, row.attempts, began_at)

    async def halt_of(self, claim: ScanClaim) -> Problem | None:
        async with self._tables.transaction():
            return self._tables.halts.get(claim.ingestion_id)

    async def known(self, claim: ScanClaim, files: Sequence[FileVersion]) -> dict[bytes, tuple[KnownVersion, ...]]:
        async with self._tables.transaction():
            found: dict[bytes, tuple[KnownVersion, ...]] = {}
            wanted = {f.digest for f in files}
            for (ingestion_id, generation, digest, tag), row in self._tables.files.items():
                if (ingestion_id, generation) == (claim.ingestion_id, claim.generation) and digest in wanted:
                    given_up = row.state is FileState.DISCOVERED and row.problem is not None
                    held = self._is_held(claim, row)
                    by_policy = is_by_policy(row.state, row.problem.error_type if row.problem else None)
                    known = KnownVersion(tag, row.state, row.run_id, given_up, held, by_policy)
                    found[digest] = (*found.get(digest, ()), known)
        return found

    async def look(self, claim: ScanClaim, files: Sequence[FileVersion]) -> Looked:
        known, page = await self.known(claim, files), last_of_each(files)
        others = {d: f for d, f in page.items() if not KeyStanding(f, known.get(d, ()), claim.run_id).is_settled}
        its_known = {digest: versions for digest, versions in known.items() if digest in others}
        return Looked(tuple(others.values()), its_known, settled=len(page) - len(others))

    async def recognise(self, claim: ScanClaim, fingerprints: Sequence[bytes]) -> Recognised:
        of = (claim.ingestion_id, claim.generation)
        async with self._tables.transaction():
            epoch = self._tables.epochs.get(of, 0)
            known = {key: self._tables.settled.get((*of, key)) for key in fingerprints}
        return Recognised(epoch, {key: found[1] for key, found in known.items() if found and found[0] == epoch})

    async def remember(self, claim: ScanClaim, epoch: int, tallies: Mapping[bytes, Tally]) -> None:
        of = (claim.ingestion_id, claim.generation)
        async with self._tables.transaction():
            self._tables.settled |= {(*of, key): (epoch, tally) for key, tally in tallies.items()}

    async def backlog(self, claim: ScanClaim) -> Backlog:
        """All batches are one tenant's, in one lane."""
        async with self._tables.transaction():
            rows = [row for row in self._tables.batches.values() if row.state not in FINAL_BATCH_STATES]
        return Backlog(sum(row.ingestion_id == claim.ingestion_id for row in rows), len(rows), len(rows), 1)

    async def past_batches(self, claim: ScanClaim, *, at_least: timedelta) -> list[PastBatch]:
        """Of all runs: nobody makes many."""
        async with self._tables.transaction():
            of = (claim.ingestion_id, claim.generation)
            rows = [r for r in self._tables.batches.values() if (r.ingestion_id, r.generation) == of and r.took]
        rows.sort(key=lambda r: r.updated_at, reverse=True)
        past = [PastBatch(r.file_count, r.size_bytes, r.took.total_seconds(), r.replaces_rows) for r in rows if r.took]
        return [b for b in past if b.seconds >= at_least.total_seconds()][:BATCHES_MAX]

    async def taken(self, claim: ScanClaim) -> tuple[int, int]:
        async with self._tables.transaction():
            sizes = [
                row.version.size_bytes
                for (ingestion_id, generation, _, _), row in self._tables.files.items()
                if (ingestion_id, generation, row.run_id) == (claim.ingestion_id, claim.generation, claim.run_id)
                and row.state not in (FileState.DISCOVERED, FileState.SKIPPED)
            ]
            sizes += [f.size_bytes for f in replacements.taken(self._tables, claim)]
        return len(sizes), sum(sizes)

    async def reloads(
        self, claim: ScanClaim, files: Sequence[FileVersion], *, retry_of: RunId | None = None
    ) -> dict[bytes, Reload]:
        async with self._tables.transaction():
            return replacements.reloads(self._tables, claim, files, retry_of)

    async def failed_keys(self, claim: ScanClaim, *, after: str | None, limit: int) -> list[str]:
        async with self._tables.transaction():
            keys = {
                row.version.key.encode()
                for (ingestion_id, generation, _, _), row in self._tables.files.items()
                if (ingestion_id, generation) == (claim.ingestion_id, claim.generation)
                and (
                    row.state in (FileState.FAILED, FileState.MISSING)
                    or (row.state is FileState.DISCOVERED and row.run_id == claim.run_id)
                )
            }
        behind = sorted(key for key in keys if after is None or key > after.encode())
        return [key.decode() for key in behind[:limit]]

    async def waiting_keys(self, claim: ScanClaim, *, after: str | None, limit: int) -> list[str]:
        async with self._tables.transaction():
            keys = {
                row.version.key.encode()
                for at, row in self._tables.files.items()
                if at[:2] == (claim.ingestion_id, claim.generation) and row.state is FileState.DISCOVERED
            }
        return [key.decode() for key in sorted(keys) if after is None or key > after.encode()][:limit]

    async def newest_hint(self, claim: ScanClaim) -> int:
        async with self._tables.transaction():
            return self._tables.last_hints.get(claim.ingestion_id, 0)

    async def hinted_keys(self, claim: ScanClaim, *, after: int, through: int, limit: int) -> list[HintedKey]:
        async with self._tables.transaction():
            found = [HintedKey(seq, h.key) for seq, h in self._tables.hints_of(claim.ingestion_id)]
        return [h for h in found if after < h.seq <= through][:limit]

    async def noticed(self, claim: ScanClaim, files: Sequence[FileVersion]) -> set[bytes]:
        async with self._tables.transaction():
            hinted = {h.digest for _, h in self._tables.hints_of(claim.ingestion_id)}
        return hinted & {f.digest for f in files}

    async def record(self, claim: ScanClaim, page: Page) -> None:
        async with self._tables.transaction():
            self._extend(claim)
            change = self._record(claim, page)
            problems = tuple(r.problem for r in page.refused[:PROBLEMS_IN_AN_EVENT_MAX])
            self._tables.log(claim.run_id, lambda h: ScanProgress(**h.fields(), problems=problems), change=change)

    async def complete(
        self, claim: ScanClaim, last: Page, warnings: tuple[str, ...], *, is_whole: bool = False
    ) -> None:
        async with self._tables.transaction():
            self._extend(claim)
            change = self._record(claim, last)
            if claim.attempt > 1:
                self._tell_what_is_gone(claim)
            if is_whole:
                watermarks.listed(self._tables, claim)
            self._tables.log(
                claim.run_id,
                lambda h: ScanCompleted(**h.fields(), warnings=warnings),
                change=change,
                scan_state=ScanState.SCANNED,
            )

    async def break_off(self, claim: ScanClaim, problem: Problem) -> None:
        async with self._tables.transaction():
            self._extend(claim)
            self._tables.log(
                claim.run_id, lambda h: ScanFailed(**h.fields(), problem=problem), scan_state=ScanState.BROKEN
            )

    async def extend(self, claim: ScanClaim) -> None:
        async with self._tables.transaction():
            row = self._tables.scans.get(claim.run_id)
            if row is None or row.token != claim.token:
                raise Fenced(f"the listing of run {claim.run_id}")
            if self._held(claim):
                self._extend(claim)

    async def release(self, claim: ScanClaim) -> None:
        async with self._tables.transaction():
            if self._held(claim):
                self._tables.scans[claim.run_id] = replace(self._tables.scans[claim.run_id], lease_until=None)

    async def claimable(self, *, requested_before: timedelta, limit: int) -> list[tuple[RunId, IngestionId, int]]:
        tables = self._tables
        async with tables.transaction():
            left_behind = [
                (row.created_at, (row.run_id, row.ingestion_id, row.generation))
                for row in tables.scans.values()
                if row.state is ScanState.SCANNING and tables.is_free(row.lease_until) and tables.is_live(row)
            ]
            never_begun = [
                (row.dispatched_at, (run_id, row.ingestion_id, row.generation))
                for run_id, row in tables.runs.items()
                if run_id not in tables.scans
                and row.dispatched_at < tables.clock() - requested_before
                and tables.is_live(row)
            ]
        return [run for _, run in sorted([*left_behind, *never_begun])[:limit]]

    def _fresh(self) -> datetime:
        return self._tables.clock() + self._lease

    def _held(self, claim: ScanClaim) -> bool:
        row = self._tables.scans.get(claim.run_id)
        return row is not None and row.token == claim.token and row.state is ScanState.SCANNING

    def _extend(self, claim: ScanClaim) -> None:
        if not self._held(claim):
            raise Fenced(f"the listing of run {claim.run_id}")
        self._tables.scans[claim.run_id] = replace(self._tables.scans[claim.run_id], lease_until=self._fresh())

    def _record(self, claim: ScanClaim, page: Page) -> Totals:
        files, counted_before = self._tables.files, 0
        for digest in page.superseded:
            at = self._tables.live(claim, digest)
            if at is not None and files[at].state is FileState.DISCOVERED:
                counted_before += files[at].run_id == claim.run_id and files[at].problem is None
                files[at] = replace(files[at], state=FileState.SUPERSEDED)
        replacements.make_room(self._tables, claim, page.beside)
        for f in page.taken:
            self._put(claim, FileRow(f, FileState.DISCOVERED, claim.run_id))
        for f in page.left:
            self._put(claim, FileRow(f, FileState.SKIPPED, claim.run_id))
        for refusal in page.refused:
            self._put(claim, FileRow(refusal.file, FileState.FAILED, claim.run_id, problem=refusal.problem))
        for planned in page.batches:
            self._tables.create_batch(claim, planned, taken_from=FileState.DISCOVERED)
        for seq, hint in self._tables.hints_of(claim.ingestion_id):
            if seq <= page.hints_through and hint.digest not in page.hints_kept:
                del self._tables.hints[claim.ingestion_id, hint.digest]
        reloaded = sum(len(planned.files) for planned in page.batches if planned.replaces_rows)
        return Totals(
            files_discovered=len(page.taken) + len(page.refused) + reloaded - counted_before,
            files_failed=len(page.refused),
            files_skipped=page.files_skipped,
            batches_planned=len(page.batches),
        )

    def _tell_what_is_gone(self, claim: ScanClaim) -> None:
        waiting = [
            row
            for at, row in self._tables.files.items()
            if at[:2] == (claim.ingestion_id, claim.generation)
            and (row.run_id, row.state, row.problem) == (claim.run_id, FileState.DISCOVERED, None)
        ]
        if not waiting:
            return
        problems = []
        for row in sorted(waiting, key=lambda row: row.version.key.encode()):
            fate = gone(row.version)
            self._put(claim, replace(row, state=fate.state, problem=fate.problem, missed_at=self._tables.clock()))
            problems += [fate.problem] if fate.problem else []
        self._tables.log(
            claim.run_id,
            lambda h: ScanProgress(**h.fields(), problems=tuple(problems[:PROBLEMS_IN_AN_EVENT_MAX])),
            change=Totals(files_failed=len(waiting)),
        )

    def _is_held(self, claim: ScanClaim, row: FileRow) -> bool:
        """Whether it waits for a batch of another run that still lists."""
        scan = self._tables.scans.get(row.run_id)
        return (
            row.state is FileState.DISCOVERED
            and scan is not None
            and scan.state is ScanState.SCANNING
            and row.run_id != claim.run_id
        )

    def _put(self, claim: ScanClaim, row: FileRow) -> None:
        at = (claim.ingestion_id, claim.generation, row.version.digest, row.version.version_tag)
        live = self._tables.live(claim, row.version.digest)
        known = self._tables.files.get(at)
        is_taken = known is not None and (
            known.state in LIVE_FILE_STATES - {FileState.DISCOVERED} or self._is_held(claim, known)
        )
        if is_taken or (live not in (None, at) and row.state in LIVE_FILE_STATES):
            raise Fenced(f"a file that run {claim.run_id} found")
        self._tables.files[at] = row
