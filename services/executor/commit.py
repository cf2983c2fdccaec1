"""The commit protocol: one batch into its table, once, whatever crashes.

    read back ── prepare ── stage ── audit ── publish ── read back ── finalise
                                       └── burn ── finalise

The table decides whether a batch happened: its wap id can enter the table's ancestry once, as data or as an empty
burn, and Iceberg checks that on every publish (cherry-pick refuses a second). The ledger decides who works; its
guarded updates stop a worker whose lease went to another. What a crash after each line leaves behind stands in
the comments; every one of them is repaired by the next claim running this same function.

Here stands the order of the steps. How each is done stands in ``preparation``, ``staged_batch``, ``publication``,
``replacement`` and ``quarantine``.
"""

from collections.abc import Mapping
from dataclasses import replace

from libs.common.contracts.events import Problem
from libs.common.errors import Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.ledger.model.batches import BatchClaim, BurnVerdict, PublishedBatch, Standing
from libs.common.ledger.model.files import tags
from libs.common.ledger.states import BatchState
from libs.common.objects.ports import ObjectStore
from libs.common.storage.definitions import RunDefinition
from services.executor import diagnosis, preparation, publication, quarantine, replacement, staged_batch
from services.executor.attempt import Attempt
from services.executor.domain.audit import Clean, Miscounted, Spoiled, audit, changed, unreadable
from services.executor.domain.from_keys import KeysUnfit
from services.executor.domain.guard import giving_up, unprovable
from services.executor.domain.quarantine import ATTEMPT
from services.executor.domain.replacing import kept
from services.executor.domain.tolerance import Tolerance
from services.executor.freshness import observe_freshness
from services.executor.ports import FilesUnreadable, Ledger, Published, SourceChanged, Table
from services.executor.staged_batch import Cause, StagedBatch
from services.executor.table_lanes import TableLanes


class CommitProtocol:
    """Runs the protocol for claimed batches. Shared by all batches of an executor."""

    def __init__(self, ledger: Ledger, objects: ObjectStore, lanes: TableLanes) -> None:
        self._ledger = ledger
        self._objects = objects
        self._lanes = lanes

    async def load(self, claim: BatchClaim, order: RunDefinition, table: Table) -> None:
        """Ends with the batch published, or burned with its files' fates recorded.

        Raises:
            Fenced: the claim is lost; nothing more was written.
            Temporary, Permanent: the batch is unfinished: call again, or ``give_up``.
        """
        if await self._was_ended(claim, table):
            return
        attempt = Attempt(claim, order, table, await self._ledger.files(claim))
        tolerance = Tolerance.of(order.definition.quality)
        try:
            batch = await self._stage(attempt, tolerance)
        except SourceChanged:
            fates = changed(attempt.files, await self._versions(attempt))
            if not fates:
                raise
            await self._set_aside(claim, table, BurnVerdict(fates))
            return
        except FilesUnreadable as error:
            # One that was overwritten meanwhile was read up to the length that it had.
            fates = changed(attempt.files, await self._versions(attempt))
            await self._set_aside(claim, table, BurnVerdict({**unreadable(attempt.files, error.reasons), **fates}))
            return
        except KeysUnfit as error:
            await self._set_aside(claim, table, BurnVerdict(error.fates))
            return
        failpoint("exec.after_stage")
        # Crash here: what is staged is invisible and is never published; the next attempt stages its own.
        match audit(attempt.files, batch.staged, await self._versions(attempt), batch.refusals, tolerance):
            case Clean(rows_by_file=rows):
                found = await publication.publish(self._ledger, self._lanes, attempt, batch, rows)
                if found is None:
                    await self._burn(claim, table, BurnVerdict())
                    return
                failpoint("exec.after_publish")
                # Crash here: visible in the table, unfinished in the ledger. The next claim reads back and finalises.
                await self._finish(claim, table, found, BurnVerdict(), batch)
                failpoint("exec.after_finalise")
                observe_freshness(attempt)
            case Spoiled(fates=spoiled):
                aborts = tolerance.on_error == "abort" and any(map(diagnosis.has_bad_records, spoiled.values()))
                explained = await diagnosis.explained(attempt, batch, spoiled)
                await self._burn(claim, table, BurnVerdict(explained, aborts=aborts))
            case Miscounted(counted=counted, added=added):
                raise Temporary(
                    f"the staging pass counted {counted} rows and the snapshot holds {added}",
                    code="miscounted",
                    hint="the batch is staged again",
                )

    async def give_up(self, claim: BatchClaim, table: Table | None, problem: Problem) -> None:
        """Ends a batch that cannot be loaded now: halved if a file may be to blame, else its files wait for the next
        run.

        ``table`` may be None only while no attempt can have staged anything (see ``Ledger.standing``).

        Raises:
            Fenced: the claim is lost.
            Temporary: the burn needs the table, and the table is away; the batch stays for the sweeper.
        """
        files = await self._ledger.files(claim)
        verdict = giving_up(files, problem)
        if table is None:
            await self._end_burned(claim, verdict)
        else:
            await self._burn(claim, table, verdict)

    async def _was_ended(self, claim: BatchClaim, table: Table) -> bool:
        """Finishes what an earlier attempt began and did not see through; False if the batch is still to be loaded."""
        standing = await self._ledger.standing(claim)
        if standing.halt is not None:
            raise Permanent(standing.halt.message, code=standing.halt.error_type, hint=standing.halt.hint)
        if not standing.may_be_staged:
            return False
        # It may have published or burned, and died (or lost the answer) before it could say so.
        found = await table.published(claim.wap_id)
        if found is not None:
            await self._finish(claim, table, found, BurnVerdict())
            return True
        if standing.state is BatchState.BURNING or not await _can_tell(standing, table):
            await self._burn(claim, table, BurnVerdict())
            return True
        return False

    async def _stage(self, attempt: Attempt, tolerance: Tolerance) -> StagedBatch:
        schema = await preparation.prepare(self._ledger, self._lanes, attempt)
        if attempt.claim.replaces_rows:
            await replacement.check(self._ledger, attempt, schema)
        batch = await staged_batch.stage(self._ledger, self._lanes, attempt, schema)
        return replace(batch, bad=await quarantine.stage(attempt, batch, tolerance))

    async def _versions(self, attempt: Attempt) -> Mapping[str, str | None]:
        """What the object store has of the files now."""
        bucket, keys = attempt.order.definition.source.bucket, [f.key for f in attempt.files]
        return tags(await self._objects.versions(bucket, keys, attempt.order.credentials))

    async def _set_aside(self, claim: BatchClaim, table: Table, verdict: BurnVerdict) -> None:
        """Burns in the table only what can be there."""
        if (await self._ledger.standing(claim)).may_be_staged:
            await self._burn(claim, table, verdict)
        else:
            await self._end_burned(claim, verdict)

    async def _burn(self, claim: BatchClaim, table: Table, verdict: BurnVerdict) -> None:
        await self._ledger.burning(claim)
        # Crash from here on: the next claim finds `burning`, reads back, and burns again if need be.
        found = await table.published(claim.wap_id)
        if found is None and await table.schema() is None:
            # Dropped under the batch, with whatever was staged in it: nothing of it can ever be published.
            await self._end_burned(claim, verdict)
            return
        if found is None:
            if not await _can_tell(await self._ledger.standing(claim), table):
                verdict = unprovable(table.name, await self._ledger.files(claim))
            snapshot_id = await table.stage_burn(
                claim.wap_id, {"autoloader.batch": str(claim.id), "autoloader.burn": "true"}
            )
            found, refusal = await publication.send(table, snapshot_id, claim.wap_id)
            if found is None:
                raise Temporary(
                    f"the table did not take the burn: {refusal}", code="publish_refused", hint="it is tried again"
                )
        await self._finish(claim, table, found, verdict)

    async def _finish(
        self,
        claim: BatchClaim,
        table: Table,
        found: Published,
        verdict: BurnVerdict,
        batch: StagedBatch | None = None,
    ) -> None:
        """Finalise: the ledger learns what the table holds, in one transaction with the event that tells of it.
        ``batch`` is what this attempt staged, if it got that far."""
        if found.is_burn:
            await self._end_burned(claim, verdict)
        else:
            cause = batch.cause if batch else Cause()
            is_ours = batch is not None and found.attempt == batch.properties[ATTEMPT]
            if batch is None or batch.bad or not is_ours:
                # Crash here: the next claim finds the rows again, and comes here.
                await quarantine.publish(claim, table, found, is_staged=is_ours)
                failpoint("exec.after_quarantine")
            if claim.replaces_rows:
                await quarantine.forget_replaced(self._ledger, claim, table)
            # Also when this worker came to burn: a copy that was published before the burn has won.
            published = PublishedBatch(
                found.snapshot_id,
                found.bytes_written,
                await table.columns(),
                cause.key,
                found.guarantee,
                found.rows_removed,
                cause.evidence,
                cause.mode,
                warnings=(*await table.warnings(), *(batch.warnings if batch else ())),
            )
            await self._ledger.published(claim, published)

    async def _end_burned(self, claim: BatchClaim, verdict: BurnVerdict) -> None:
        await self._ledger.burned(claim, kept(verdict) if claim.replaces_rows else verdict)


async def _can_tell(standing: Standing, table: Table) -> bool:
    """Whether a publish that was sent would show in the read-back: it came after its base, so an ancestry that
    reaches back to that one holds it, if it arrived."""
    return standing.publish_base is None or await table.remembers(standing.publish_base)
