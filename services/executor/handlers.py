"""What an executor does with a planned batch: claim it, hold the lease, run the commit protocol, see it to an end.

Every batch ends: published, burned, or handed back to the sweeper because only the table knows and the table is
away. Trouble that may pass is tried again a few times at once; what remains is told to the user, and the files wait
in the ledger for the next run.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from libs.common import metrics
from libs.common.aside import CLOCK_SKEWED, Aside
from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import FileBatchPlanned, Problem
from libs.common.errors import AutoloaderError, Fenced, Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.heartbeat import holding
from libs.common.ids import BatchId
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model.batches import BatchClaim
from libs.common.logs import get_logger
from libs.common.storage.definitions import RunDefinition, RunDefinitions
from services.executor.commit import CommitProtocol
from services.executor.domain.turns import whose_turn
from services.executor.ports import Table

_log = get_logger(__name__)


class Tables(Protocol):
    """Opens the destination table of a run."""

    def open(self, order: RunDefinition) -> AbstractAsyncContextManager[Table]: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try. ``attempts_max`` within one claim, ``takeovers_max`` claims of one batch."""

    attempts_max: int = 4
    takeovers_max: int = 8
    pause_s: float = 0.5

    def pause_after(self, attempt: int) -> float:
        """Seconds until the next attempt: doubling, with full jitter above half."""
        return float(self.pause_s * 2 ** (attempt - 1) * random.uniform(0.5, 1))


class _AtHand:
    """The tables, for one claim, and whether it had one of them in hand: whoever did may have brought Spark down."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.had_one = False

    @asynccontextmanager
    async def open(self, order: RunDefinition) -> AsyncIterator[Table]:
        async with self._tables.open(order) as table:
            self.had_one = True
            yield table


class Batches:
    """Handles planned batches. One instance per process."""

    def __init__(
        self,
        ledger: BatchLedger,
        definitions: RunDefinitions,
        tables: Tables,
        protocol: CommitProtocol,
        *,
        heartbeat: timedelta,
        patience: Patience,
        aside: Aside,
    ) -> None:
        self._ledger = ledger
        self._definitions = definitions
        self._tables = tables
        self._protocol = protocol
        self._heartbeat = heartbeat
        self._patience = patience
        self.aside = aside

    async def on_file_batch_planned(self, envelope: Envelope) -> None:
        event = envelope.message
        assert isinstance(event, FileBatchPlanned)
        await self._work(BatchId(event.batch_id), by_turns=True)

    async def work_on(self, batch_id: BatchId) -> None:
        """Sees a batch to its end, unless somebody else has it or it is finished.

        Raises:
            Fenced: another executor took over; the table decides between the two.
            Temporary: the database is away.
        """
        await self._work(batch_id, by_turns=False)

    async def _work(self, batch_id: BatchId, *, by_turns: bool) -> None:
        if self.aside.is_on():
            return  # the sweeper of another executor finds it, and at last our own
        claim = await (self._next(batch_id) if by_turns else self._ledger.claim(batch_id))
        if claim is None:
            return
        failpoint("exec.after_claim")
        log = _log.bind(batch_id=str(batch_id), run_id=str(claim.run_id), attempt=claim.attempt)
        tables = _AtHand(self._tables)
        try:
            async with holding(lambda: self._ledger.extend(claim), every=self._heartbeat):
                await self._see_through(claim, tables)
            log.info("batch.done")
        except Fenced:
            metrics.BATCHES.labels(outcome="fenced").inc()
            log.warning("batch.fenced")
            raise
        except (Temporary, Permanent) as error:
            # The ledger or the table could not even take the bad news. The lease is given back, and the sweeper
            # of some executor tries again.
            log.warning("batch.left", code=error.code, problem=error.message)
            await self._hand_back(claim, error.message, counts=tables.had_one)
            if error.code == "database_unavailable":
                raise
        except asyncio.CancelledError:
            await self._hand_back(claim, "its executor was stopped", counts=False)
            raise

    async def _next(self, told: BatchId) -> BatchClaim | None:
        """The batch whose turn it is. A message only says that there is one more: there are as many messages as
        batches, so each finds its executor, if none gives up while a batch waits that it has not tried. A sweeper
        finds what a lost message leaves."""
        tried: set[BatchId] = set()
        while (batch_id := whose_turn(await self._ledger.waiting(told, besides=tried))) is not None:
            if (claim := await self._ledger.claim(batch_id)) is not None:
                return claim
            tried.add(batch_id)  # somebody else is about to have it; if not, that one's message comes again
        # This one may have been given back.
        return await self._ledger.claim(told)

    async def _see_through(self, claim: BatchClaim, tables: _AtHand) -> None:
        try:
            order = await self._definitions.of(UUID(str(claim.run_id)))
        except Permanent as error:
            if (await self._ledger.standing(claim)).may_be_staged:
                raise  # only the table can end it, and only the definition says which table
            await self._protocol.give_up(claim, None, _problem(error))
            return
        problem = await self._attempts(claim, order, tables)
        if problem is None:
            return
        _log.warning("batch.given_up", batch_id=str(claim.id), code=problem.error_type, problem=problem.message)
        if not (await self._ledger.standing(claim)).may_be_staged:
            await self._protocol.give_up(claim, None, problem)
            return
        async with tables.open(order) as table:
            await self._protocol.give_up(claim, table, problem)

    async def _attempts(self, claim: BatchClaim, order: RunDefinition, tables: _AtHand) -> Problem | None:
        """Runs the protocol until it ends the batch (None), or until there is no point in going on."""
        if claim.attempt > self._patience.takeovers_max:
            return Problem(
                error_type="too_many_attempts",
                message=f"{claim.attempt - 1} executors took this batch and did not come back",
                hint="see the executors' logs (out of memory?); smaller batches help: source.max_files_per_trigger",
            )
        for attempt in range(1, self._patience.attempts_max + 1):
            try:
                async with tables.open(order) as table:
                    await self._protocol.load(claim, order, table)
                return None
            except Temporary as error:
                if await self._is_for_another_claim(claim, error):
                    raise
                problem = _problem(error)
                if error.code == CLOCK_SKEWED:
                    return problem  # no other attempt of ours can be better
                _log.info(
                    "batch.retry", batch_id=str(claim.id), attempt=attempt, code=error.code, problem=error.message
                )
                if attempt < self._patience.attempts_max:
                    await asyncio.sleep(self._patience.pause_after(attempt))
            except Permanent as error:
                return _problem(error)
            except Fenced:
                raise
            except Exception:  # noqa: BLE001 - a bug of ours must not stop the other batches; the log has its trace
                _log.exception("batch.failed", batch_id=str(claim.id))
                return Problem(
                    error_type="internal_error",
                    message="an unexpected error stopped this batch",
                    hint=f"look for batch {claim.id} in the executor's log, and report it",
                )
        return problem

    async def _is_for_another_claim(self, claim: BatchClaim, error: Temporary) -> bool:
        """The database may be back already; another executor's clock may be right."""
        if error.code == CLOCK_SKEWED:
            return await self.aside.step(claim.attempt)
        return error.code == "database_unavailable"

    async def _hand_back(self, claim: BatchClaim, reason: str, *, counts: bool) -> None:
        """``counts``: it may be the batch's fault, and is one of the claims that ``takeovers_max`` allows."""
        with suppress(AutoloaderError):
            await self._ledger.release(claim, error=reason, counts=counts)


def _problem(error: AutoloaderError) -> Problem:
    return Problem(error_type=error.code, message=error.message, hint=error.hint)
