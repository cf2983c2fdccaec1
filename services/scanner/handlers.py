"""What a scanner does when a run is requested: list, compare with the ledger, cut into batches, page by page.

Memory holds a few pages and one open batch, however long the listing is. A crash at any line loses nothing: the next
claim lists from the start, and finds in the ledger what was recorded.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from libs.common import metrics
from libs.common.aside import CLOCK_SKEWED, Aside
from libs.common.clock import Clock, utc_now
from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import Problem, RunRequested
from libs.common.errors import AutoloaderError, Fenced, Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.heartbeat import holding
from libs.common.ids import IngestionId, RunId
from libs.common.ledger.model.files import FileVersion, Looked
from libs.common.ledger.model.scans import Page, ScanClaim
from libs.common.ledger.scans import ScanLedger
from libs.common.logs import get_logger
from libs.common.selection.caps import Cap, limited
from libs.common.selection.select import Terms, open_to_replacement, select
from libs.common.storage.definitions import RunDefinition, RunDefinitions
from services.scanner.candidates import Candidates
from services.scanner.domain.planning import BatchPlanner
from services.scanner.domain.seen import Seen, overdue, warnings
from services.scanner.pacing import Pacing
from services.scanner.portions import Portions
from services.scanner.turns import Turn, Turns

BUG_ATTEMPTS_MAX = 5
"""A listing that ends with a bug of ours is begun again; the one with this number is the last."""

_log = get_logger(__name__)


class Scans:
    """Handles run requests. One instance per process; scans of different runs go side by side."""

    def __init__(
        self,
        ledger: ScanLedger,
        definitions: RunDefinitions,
        candidates: Candidates,
        turns: Turns,
        *,
        heartbeat: timedelta,
        aside: Aside,
        batch_target: timedelta = timedelta(seconds=120),
        now: Clock = utc_now,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._definitions = definitions
        self._candidates = candidates
        self._turns = turns
        self._heartbeat = heartbeat
        self._batch_target = batch_target
        self.aside = aside
        self._now = now
        self._seconds = seconds

    async def on_run_requested(self, envelope: Envelope) -> None:
        event = envelope.message
        assert isinstance(event, RunRequested)
        if self.aside.is_on():
            raise Temporary("this scanner stands aside: its clock is wrong", code=CLOCK_SKEWED)
        await self.scan(RunId(event.run_id), IngestionId(event.ingestion_id), event.generation)

    async def scan(self, run_id: RunId, ingestion_id: IngestionId, generation: int) -> None:
        """Lists for a run to the end, unless somebody else does or did. Ends the run itself if nothing is new.

        Raises:
            Fenced: another scanner took over.
            Temporary: the database is away, or our clock is wrong; the request is worth repeating.
        """
        async with self._turns.turn() as turn:
            claim = await self._ledger.claim(run_id, ingestion_id, generation)
            if claim is not None:
                await self._see_through(claim, turn)

    async def _see_through(self, claim: ScanClaim, turn: Turn) -> None:
        log = _log.bind(run_id=str(claim.run_id), ingestion_id=str(claim.ingestion_id), attempt=claim.attempt)
        try:
            async with holding(lambda: self._ledger.extend(claim), every=self._heartbeat):
                order = await self._definitions.of(UUID(str(claim.run_id)))
                if (halt := await self._ledger.halt_of(claim)) is not None:
                    raise Permanent(halt.message, code=halt.error_type, hint=halt.hint)
                seen = await self._list(claim, order, turn)
            log.info(
                "scan.completed",
                objects=seen.objects,
                matching=seen.of_age,
                skipped=seen.skipped,
                left_out=seen.left_out,
            )
        except Fenced:
            log.warning("scan.fenced")
            # If the claim is good still, a run in the other lane was faster at a file: the next look shows that.
            await self._give_back(claim)
            raise
        except (Permanent, Temporary) as error:
            if await self._is_for_another_claim(claim, error):
                await self._give_back(claim)
                raise
            log.warning("scan.failed", code=error.code, problem=error.message)
            await self._ledger.break_off(claim, _problem(error))
        except Exception:
            if claim.attempt < BUG_ATTEMPTS_MAX:
                await self._give_back(claim)
                raise
            # Our bug, and it stays: sweepers would begin this listing again for ever, and the user would never hear.
            log.exception("scan.given_up")
            await self._ledger.break_off(claim, _internal_error(claim))
        except BaseException:
            # The end of this process. The run must not wait for the lease to run out.
            await self._give_back(claim)
            raise

    async def _is_for_another_claim(self, claim: ScanClaim, error: AutoloaderError) -> bool:
        """The database may be back already; another scanner's clock may be right."""
        if error.code == CLOCK_SKEWED:
            return await self.aside.step(claim.attempt)
        return error.code == "database_unavailable"

    async def _give_back(self, claim: ScanClaim) -> None:
        with suppress(Exception):
            await self._ledger.release(claim)

    async def _list(self, claim: ScanClaim, order: RunDefinition, turn: Turn) -> Seen:
        source = order.definition.source
        pacing = Pacing(self._ledger, claim, source, self._batch_target, self._seconds)
        await pacing.look()
        planner = BatchPlanner(pacing.limits(), clock=self._seconds)
        replacing = BatchPlanner(pacing.limits(replaces_rows=True), replaces_rows=True, clock=self._seconds)
        terms = Terms(source.allow_overwrites, order.retry_of, order.scope.again, order.scope.failed)
        seen, cap = Seen(), Cap.of(order.scope)
        if claim.attempt > 1:
            cap.count(*await self._ledger.taken(claim))
        hints_through = await self._ledger.newest_hint(claim) if order.scope.hinted else 0
        kept: list[bytes] = []
        portions = self._portions(claim, order)
        async for portion in portions.of(terms, seen, hints_through):
            looked = await self._look(claim, portion.files, terms)
            asked = open_to_replacement(looked.files, looked.known, terms)
            reloads = await self._ledger.reloads(claim, asked, retry_of=terms.retry_of)
            found = limited(select(looked.files, looked.known, claim.run_id, terms, reloads), cap)
            seen.skipped += looked.settled + found.skipped
            seen.unnoticed += await self._unnoticed(claim, order, found.taken)
            seen.passed_over += len(found.passed_over)
            kept += found.passed_over if order.scope.hinted else ()
            page = Page(
                taken=found.taken,
                superseded=found.superseded,
                beside=found.beside,
                left=found.left,
                refused=found.refused,
                batches=(
                    *planner.add((*found.resumed, *found.taken)),
                    *replacing.add(found.reloaded),
                    *planner.quiet(),
                    *replacing.quiet(),
                ),
                files_skipped=seen.skipped,
            )
            failpoint("scan.mid_listing")
            if page.taken or page.left or page.refused or page.batches:
                await self._ledger.record(claim, page)
            await portions.learn(portion, looked)
            failpoint("scan.after_page")
            if page.batches:
                await turn.wait_for_room(claim)
                await pacing.look()
                planner.resume(pacing.limits())
                replacing.resume(pacing.limits(replaces_rows=True))
            if cap.is_reached and claim.attempt == 1:
                break  # a later attempt lists on: what an earlier one took and this one does not see is told as gone
        await portions.remember()
        failpoint("scan.before_done")
        last = Page(
            batches=(*planner.rest(), *replacing.rest()),
            files_skipped=seen.skipped,
            hints_through=hints_through,
            hints_kept=tuple(kept),
        )
        told = (*warnings(order.definition.source, order.scope, seen), *cap.warnings())
        is_whole = order.scope.is_whole and order.retry_of is None and seen.passed_over == 0 and seen.left_out == 0
        await self._ledger.complete(claim, last, told, is_whole=is_whole)
        metrics.FILES_UNNOTICED.inc(seen.unnoticed)
        return seen

    async def _look(self, claim: ScanClaim, files: Sequence[FileVersion], terms: Terms) -> Looked:
        """What the ledger says of a page: where nothing is new, it sends next to nothing."""
        if not files:
            return Looked((), {})
        if terms.pass_settled_over:
            return await self._ledger.look(claim, files)
        return Looked(tuple(files), await self._ledger.known(claim, files))

    async def _unnoticed(self, claim: ScanClaim, order: RunDefinition, taken: Sequence[FileVersion]) -> int:
        """How many of these files notifications should have told of, and did not."""
        if (since := order.scope.noticed_since) is None:
            return 0
        due = overdue(taken, since, self._now())
        return len(due) - len(await self._ledger.noticed(claim, due))

    def _portions(self, claim: ScanClaim, order: RunDefinition) -> Portions:
        try:
            return Portions(self._ledger, self._candidates, claim, order, self._now())
        except ValueError as e:
            raise Permanent(str(e), code="bad_file_pattern", hint="correct source.file_pattern") from e


def _internal_error(claim: ScanClaim) -> Problem:
    return Problem(
        error_type="internal_error",
        message="an unexpected error stopped the listing",
        hint=f"look for run {claim.run_id} in the scanner's log, and report it",
    )


def _problem(error: AutoloaderError) -> Problem:
    return Problem(error_type=error.code, message=error.message, hint=error.hint)
