"""Audits, rebuilds and fills: what somebody asks of an ingestion's table, and gets a report of.

An audit and a rebuild read bucket, ledger and table side by side; a fill (``fill``) is about the table alone.

A request that stops half-way is begun again by whoever takes it next; every step may be repeated.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import AuditIngestion, FillColumns, Problem, RebuildLedger
from libs.common.contracts.scope import ANY_AGE
from libs.common.errors import AutoloaderError, Fenced, Permanent, Temporary
from libs.common.heartbeat import holding
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.reconciliations import ReconciliationClaim, Reconciliations
from libs.common.logs import get_logger
from libs.common.objects.ports import ObjectStore
from libs.common.selection.wanted import Wanted, left_for_its_age
from libs.common.storage.definitions import RunDefinition, RunDefinitions
from services.executor.domain.reconcile import Comparison, LedgerSide, settled
from services.executor.domain.story import TableStory
from services.executor.fill import Fills
from services.executor.rebuild import Rebuilds

ATTEMPTS_MAX = 5
"""A request that met passing trouble this often is failed, with the latest reason; so is one from which so many
executors did not come back."""
AT_ONCE = 2
_log = get_logger(__name__)


class Tables(Protocol):
    """The destination tables of ingestions. ``story`` tells what the snapshots know; None if there is no table."""

    async def story(self, order: RunDefinition) -> TableStory | None: ...


class Reconciler:
    """Handles audits, rebuilds and fills. One instance per process."""

    def __init__(
        self,
        requests: Reconciliations,
        definitions: RunDefinitions,
        tables: Tables,
        objects: ObjectStore,
        rebuilds: Rebuilds,
        fills: Fills,
        *,
        heartbeat: timedelta,
    ) -> None:
        self._requests = requests
        self._definitions = definitions
        self._tables = tables
        self._objects = objects
        self._rebuilds = rebuilds
        self._fills = fills
        self._heartbeat = heartbeat

    async def on_command(self, envelope: Envelope) -> None:
        command = envelope.message
        assert isinstance(command, AuditIngestion | RebuildLedger | FillColumns)
        await self.work_on(command.request_id)

    async def work_on(self, request_id: UUID) -> None:
        """Sees a request to its end, unless somebody else has it or it is over.

        Raises:
            Fenced: another executor took over.
            Temporary: the database is away.
        """
        claim = await self._requests.claim(request_id)
        if claim is None:
            return
        log = _log.bind(request_id=str(request_id), ingestion_id=str(claim.ingestion_id), kind=claim.kind)
        if claim.attempt > ATTEMPTS_MAX:
            log.warning("reconciliation.given_up", attempt=claim.attempt)
            await self._rebuilds.give_up(claim, _too_many_attempts(claim))
            return
        try:
            async with holding(lambda: self._requests.extend(claim), every=self._heartbeat):
                await self._see_through(claim)
            log.info("reconciliation.done")
        except Fenced:
            log.warning("reconciliation.fenced")
            raise
        except Temporary as error:
            log.warning("reconciliation.left", code=error.code, problem=error.message, attempt=claim.attempt)
            if error.code == "database_unavailable":
                raise
            if claim.attempt >= ATTEMPTS_MAX:
                await self._fail(claim, error)
            # Otherwise the lease runs out, and a sweeper tries again: that long a pause is about right.
        except Permanent as error:
            log.warning("reconciliation.failed", code=error.code, problem=error.message)
            await self._fail(claim, error)
        except Exception:
            if claim.attempt >= ATTEMPTS_MAX:
                await self._rebuilds.give_up(claim, _internal_error(claim))
            raise

    async def _see_through(self, claim: ReconciliationClaim) -> None:
        order = await self._definitions.of_reconciliation(claim.id)
        if claim.kind == "audit":
            await self._requests.done(claim, await self._audit(claim, order))
        elif claim.kind == "fill":
            await self._requests.done(claim, await self._fills.fill(claim, order))
        else:
            await self._rebuilds.rebuild(
                claim,
                order.definition.destination.identifier,
                lambda: self._tables.story(order),
                lambda: self._bucket(order),
                order.definition.source.allow_overwrites,
            )

    async def _audit(self, claim: ReconciliationClaim, order: RunDefinition) -> Mapping[str, Any]:
        before = await self._requests.batches(claim.ingestion_id)
        story = await self._tables.story(order)
        ledger = LedgerSide(
            batches=settled(before, await self._requests.batches(claim.ingestion_id)),
            files_committed=await self._requests.files_committed(claim.ingestion_id, claim.generation),
            quarantined=await self._requests.quarantined(claim.ingestion_id, claim.generation),
        )
        comparison = Comparison(
            str(claim.ingestion_id),
            claim.generation,
            ledger,
            story or TableStory(),
            is_left=_is_left_by(order),
            overwrites=order.definition.source.allow_overwrites,
        )
        async for page in self._bucket(order):
            digests = [f.digest for f in page]
            comparison.page(page, await self._requests.versions(claim.ingestion_id, claim.generation, digests))
        return comparison.report().model_dump(mode="json")

    async def _bucket(self, order: RunDefinition) -> AsyncIterator[Sequence[FileVersion]]:
        """The source's files as scanners see them, page by page; also those that are left to backfills."""
        source = order.definition.source
        rules = Wanted(source, order.created_at, ANY_AGE)
        async for page in self._objects.pages(source.bucket, source.prefix, order.credentials):
            if wanted := rules.of(page):
                yield wanted

    async def _fail(self, claim: ReconciliationClaim, error: AutoloaderError) -> None:
        await self._rebuilds.give_up(claim, Problem(error_type=error.code, message=error.message, hint=error.hint))


def _is_left_by(order: RunDefinition) -> Callable[[FileVersion], bool]:
    source, created_at = order.definition.source, order.created_at
    return lambda f: left_for_its_age(source, created_at, f.last_modified) is not None


def _too_many_attempts(claim: ReconciliationClaim) -> Problem:
    return Problem(
        error_type="too_many_attempts",
        message=f"{claim.attempt - 1} executors took this {claim.kind} and did not end it",
        hint="see the executors' logs (out of memory?), then ask for it again",
    )


def _internal_error(claim: ReconciliationClaim) -> Problem:
    return Problem(
        error_type="internal_error",
        message=f"an unexpected error stopped this {claim.kind}",
        hint=f"look for request {claim.id} in the executor's log, and report it",
    )
