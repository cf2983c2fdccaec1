"""Rebuilds a ledger: halt, wait until nothing is under way, look at everything once, then write it.

The first look writes nothing: what cannot be decided is refused before anything was changed. One that does not end
after that leaves the ingestion halted.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from libs.common.contracts.definition import OverwritePolicy
from libs.common.contracts.events import Problem
from libs.common.contracts.reports import RebuildReport
from libs.common.errors import Temporary
from libs.common.ledger.model.audits import RestoredFile
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.rebuilds import LedgerRebuild
from libs.common.ledger.reconciliations import ReconciliationClaim, Reconciliations
from services.executor.domain.rebuild import Rebuilding, Verdict, check, refusal
from services.executor.domain.story import TableStory

BUSY_POLLS_MAX = 60
POLL_S = 1.0
BATCHES_AT_ONCE = 200
Bucket = Callable[[], AsyncIterator[Sequence[FileVersion]]]


class Rebuilds:
    """Does one rebuild at a time for each claim that it is given."""

    def __init__(self, requests: Reconciliations, ledger: LedgerRebuild) -> None:
        self._requests = requests
        self._ledger = ledger

    async def rebuild(
        self,
        claim: ReconciliationClaim,
        table: str,
        story: Callable[[], Awaitable[TableStory | None]],
        bucket: Bucket,
        overwrites: OverwritePolicy,
    ) -> None:
        """Ends with the report recorded, and loading going on.

        Raises:
            Permanent: refused; nothing was written. Temporary: a run is not over, or a store is away.
        """
        is_dry = bool(claim.options.get("dry_run"))
        if not is_dry:
            await self._ledger.begin(claim)
            await self._until_quiet(claim)
        told = await story()
        sources = {str(claim.ingestion_id), str(claim.options.get("from_ingestion"))}
        batches = await self._requests.batches(claim.ingestion_id)
        plan = Rebuilding(sources, batches, told or TableStory(), claim.generation, overwrites)
        check(table, sources, plan, told)
        unproven = claim.options.get("unproven")
        counts, example = await self._count(claim, plan, bucket)
        if counts[Verdict.UNPROVEN] and unproven is None:
            raise refusal(table, counts[Verdict.UNPROVEN], example)
        report = _report(plan, counts, is_dry=is_dry, trusts=unproven == "committed")
        if is_dry:
            await self._requests.done(claim, report)
            return
        await self._ledger.about_to_write(claim)
        await self._write(claim, plan, bucket, trusts=unproven == "committed")
        await self._ledger.done(claim, report)

    async def give_up(self, claim: ReconciliationClaim, problem: Problem) -> None:
        """It cannot be done, nor the audit that ``claim`` may be. Loading goes on, unless it was halted before."""
        await self._ledger.failed(claim, problem)

    async def _until_quiet(self, claim: ReconciliationClaim) -> None:
        """Executors and scanners end what they have begun; the halt lets them begin nothing new."""
        for _ in range(BUSY_POLLS_MAX):
            if not await self._ledger.is_busy(claim):
                return
            await asyncio.sleep(POLL_S)
        raise Temporary("a run of this ingestion is not over yet", code="run_active", hint="are all services up?")

    async def _count(
        self, claim: ReconciliationClaim, plan: Rebuilding, bucket: Bucket
    ) -> tuple[Counter[Verdict], str]:
        counts: Counter[Verdict] = Counter()
        example = ""
        async for page in bucket():
            for restored, verdict in await self._judged(claim, plan, page):
                counts[verdict] += 1
                if verdict is Verdict.UNPROVEN:
                    example = example or restored.file.uri
        return counts, example

    async def _write(self, claim: ReconciliationClaim, plan: Rebuilding, bucket: Bucket, *, trusts: bool) -> None:
        batches = [plan.batch_of(b) for b in plan.restored]
        await self._ledger.refuse_those_of_another(claim, [b.id for b in batches])
        await self._ledger.withdraw(claim, plan.withdrawn)
        # What the ledger has seen, also in versions that are not in the bucket any more.
        after: FileVersion | None = None
        while page := await self._ledger.waiting(claim, after):
            await self._write_page(claim, plan, page, trusts=False)
            after = page[-1]
        async for listed in bucket():
            await self._write_page(claim, plan, listed, trusts=trusts)
        # Last: until then executors see batches that the ledger does not know, and publish nothing, whatever became of
        # the halt. With their batches known, files that are not would be loaded twice.
        for start in range(0, len(batches), BATCHES_AT_ONCE):
            await self._ledger.restore(claim, batches[start : start + BATCHES_AT_ONCE])

    async def _write_page(
        self, claim: ReconciliationClaim, plan: Rebuilding, page: Sequence[FileVersion], *, trusts: bool
    ) -> None:
        loaded = [
            restored
            for restored, verdict in await self._judged(claim, plan, page)
            if verdict is Verdict.PROVED or (verdict is Verdict.UNPROVEN and trusts)
        ]
        while loaded:  # of a key with several versions, one at a time
            first = {restored.file.digest: restored for restored in reversed(loaded)}
            await self._ledger.loaded(claim, list(first.values()))
            loaded = [restored for restored in loaded if restored is not first[restored.file.digest]]

    async def _judged(
        self, claim: ReconciliationClaim, plan: Rebuilding, page: Sequence[FileVersion]
    ) -> list[tuple[RestoredFile, Verdict]]:
        """What each file would be written as, and whether it is."""
        known = await self._requests.versions(claim.ingestion_id, claim.generation, [f.digest for f in page])
        judged = []
        for f in page:
            versions = known.get(f.digest, ())
            verdict, batch_id = plan.look_at(f, versions)
            judged.append((RestoredFile(f, batch_id, plan.given_way(f, versions, batch_id)), verdict))
        return judged


def _report(plan: Rebuilding, counts: Counter[Verdict], *, is_dry: bool, trusts: bool) -> Mapping[str, Any]:
    unproven = counts[Verdict.UNPROVEN]
    return RebuildReport(
        dry_run=is_dry,
        batches_restored=len(plan.restored),
        batches_withdrawn=len(plan.withdrawn),
        files_committed=counts[Verdict.PROVED],
        files_taken_on_trust=unproven if trusts else 0,
        files_new=counts[Verdict.NEW] + (0 if trusts else unproven),
    ).model_dump(mode="json")
