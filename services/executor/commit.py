"""The commit protocol: one batch into its table, once, whatever crashes.

    read back ── stage ── audit ── publish ── read back ── finalise
                            └── burn ── finalise

The table decides whether a batch happened: its wap id can enter the table's ancestry once, as data or as an empty
burn, and Iceberg checks that on every publish (cherry-pick refuses a second). The ledger decides who works; its
guarded updates stop a worker whose lease went to another. What a crash after each line leaves behind stands in
the comments; every one of them is repaired by the next claim running this same function.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

from libs.common.contracts.events import Problem
from libs.common.contracts.schema_rules import EvolutionMode
from libs.common.errors import Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.ledger.model import (
    BadRecords,
    BatchClaim,
    BurnVerdict,
    Evidence,
    Fate,
    FileVersion,
    PublishedBatch,
    Standing,
    tags,
)
from libs.common.ledger.states import BatchState, FileState
from libs.common.objects.ports import ObjectStore
from libs.common.schema import Struct
from libs.common.storage.definitions import RunDefinition
from services.executor import quarantine, replacement
from services.executor.domain import evidence
from services.executor.domain.audit import Clean, Miscounted, Refusal, Spoiled, Staged, audit, changed, unreadable
from services.executor.domain.evolution import Rules, allowed, asked_of, growth, proposal, refusals, suspects
from services.executor.domain.guard import contradiction, giving_up, unprovable
from services.executor.domain.layout import of_new_table
from services.executor.domain.provenance import lacking_provenance, with_provenance
from services.executor.domain.quarantine import ATTEMPT
from services.executor.domain.replacing import kept
from services.executor.domain.schema_change import Addition, SchemaChange, compare, with_additions
from services.executor.domain.tolerance import Tolerance
from services.executor.ports import FilesUnreadable, Ledger, Published, SourceChanged, Table
from services.executor.table_lanes import TableLanes

STAGES_MAX = 6
"""How often one attempt stages: once, again for each round of new fields or wider types, and some air."""
PUBLISHES_MAX = 5
REPLACES_MAX = 6
"""How often one attempt stages a copy with replaced rows before it leaves the table to those who keep changing it."""
DIAGNOSES_MAX = 20
"""Bad files of one batch whose first bad line is looked up; each costs two reads of that file."""
_HAS_BAD_RECORDS = frozenset({"unparsable_file", "too_many_bad_records"})


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why a batch changed its table's columns, as far as it did."""

    key: str | None = None
    evidence: tuple[Evidence, ...] = ()
    mode: EvolutionMode | None = None


_NO_CAUSE = _Cause()


@dataclass(frozen=True, slots=True)
class _StagedBatch:
    """A staged snapshot with the schema that it was read with, what was set aside beside it, and what stands against
    some files."""

    staged: Staged
    schema: Struct
    properties: Mapping[str, str]
    cause: _Cause
    refusals: Mapping[bytes, Refusal] = field(default_factory=dict)
    bad: Mapping[bytes, BadRecords] = field(default_factory=dict)


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
        files = await self._ledger.files(claim)
        tolerance = Tolerance.of(order.definition.quality)
        try:
            schema = await self._prepare(claim, order, table, files)
            if claim.replaces_rows:
                await replacement.check(self._ledger, claim, table, files, schema)
            batch = await self._stage(claim, order, table, files, schema)
            bad = await quarantine.stage(claim, table, files, batch.schema, batch.staged, tolerance, batch.properties)
            batch = replace(batch, bad=bad)
        except SourceChanged:
            fates = changed(files, await self._versions(order, files))
            if not fates:
                raise
            await self._set_aside(claim, table, BurnVerdict(fates))
            return
        except FilesUnreadable as error:
            await self._set_aside(claim, table, BurnVerdict(unreadable(files, error.reasons)))
            return
        failpoint("exec.after_stage")
        # Crash here: what is staged is invisible and is never published; the next attempt stages its own.
        match audit(files, batch.staged, await self._versions(order, files), batch.refusals, tolerance):
            case Clean(rows_by_file=rows) if claim.replaces_rows:
                await self._replace(claim, order, table, files, batch, rows)
            case Clean(rows_by_file=rows):
                await self._ledger.staged(claim, rows, batch.bad)
                failpoint("exec.after_audit")
                await self._publish(claim, order, table, batch)
            case Spoiled(fates=spoiled):
                aborts = tolerance.on_error == "abort" and any(map(_has_bad_records, spoiled.values()))
                explained = await _explained(table, batch, files, spoiled)
                await self._burn(claim, table, BurnVerdict(explained, aborts=aborts))
            case Miscounted(counted=counted, added=added):
                raise Temporary(
                    f"the staging pass counted {counted} rows and the snapshot holds {added}",
                    code="miscounted",
                    hint="the batch is staged again",
                )

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

    async def _versions(self, order: RunDefinition, files: Sequence[FileVersion]) -> Mapping[str, str | None]:
        bucket, keys = order.definition.source.bucket, [f.key for f in files]
        return tags(await self._objects.versions(bucket, keys, order.credentials))

    async def _set_aside(self, claim: BatchClaim, table: Table, verdict: BurnVerdict) -> None:
        """Burns in the table only what can be there."""
        if (await self._ledger.standing(claim)).may_be_staged:
            await self._burn(claim, table, verdict)
        else:
            await self._end_burned(claim, verdict)

    async def _prepare(
        self, claim: BatchClaim, order: RunDefinition, table: Table, files: Sequence[FileVersion]
    ) -> Struct:
        rules = await self._rules(claim, order)
        # One at a time per table: the first batch creates it, the others find it.
        async with self._lanes.of(order.definition.destination.identifier):
            schema = await table.schema()
            if schema is not None:
                return await _as_asked(table, schema, order, rules)
            if await self._ledger.has_published(claim.ingestion_id, claim.generation):
                # Another executor may have made the table, and published into it, since we looked.
                if (schema := await table.schema()) is not None:
                    return await _as_asked(table, schema, order, rules)
                raise Permanent(
                    f"table {order.definition.destination.identifier} is gone, but this ingestion has loaded files "
                    "into it",
                    code="table_missing",
                    hint="bring the table back, or create a new ingestion to load everything again",
                )
            first = rules.given or rules.first(await table.infer(files))
            ours = order.definition.destination.metadata_columns
            columns = with_provenance(first, ours, rules.rescued)
            schema = await table.create(*of_new_table(order.definition, columns))
            # Somebody else may have been faster, with another definition.
            return await _as_asked(table, schema, order, rules)

    async def _stage(
        self, claim: BatchClaim, order: RunDefinition, table: Table, files: Sequence[FileVersion], schema: Struct
    ) -> _StagedBatch:
        """Stages until the pass finds nothing that the table lacks, could have, and is to have."""
        await self._ledger.about_to_stage(claim)
        rules = await self._rules(claim, order)
        cause = _Cause(mode=rules.mode)
        properties = _properties(claim, files)
        # Rows that take the place of others are staged by themselves first: read, audited, and never published.
        wap_id = claim.rows_wap_id if claim.replaces_rows else claim.wap_id
        for _ in range(STAGES_MAX):
            failpoint("exec.during_stage")
            staged = await table.stage(files, rules.reading(schema), wap_id, properties)
            looked_into = [f for f in files if f.digest in suspects(rules, staged)]
            wanted = SchemaChange()
            if looked_into:
                wanted = growth(rules, schema, await table.infer(looked_into), staged)
            change = allowed(rules, wanted)
            if not change.grows:
                await self._propose(claim, table, looked_into, schema, wanted.additions)
                left = refusals(rules, staged, wanted)
                return _StagedBatch(staged, rules.reading(schema), properties, cause, left)
            # What was changed stays, whatever becomes of the batch: added columns hold nulls until rows come.
            async with self._lanes.of(order.definition.destination.identifier):
                schema = await _grown(table, schema, change)
            shown = await table.examples(looked_into, schema, change.paths)
            cause = _Cause(looked_into[0].key, (*cause.evidence, *shown.values()), rules.mode)
        raise Temporary("the table's schema keeps changing under the batch", code="schema_unsettled")

    async def _rules(self, claim: BatchClaim, order: RunDefinition) -> Rules:
        return Rules.of(order.definition.format.schema_rules, await self._ledger.decisions(claim))

    async def _propose(
        self,
        claim: BatchClaim,
        table: Table,
        carriers: Sequence[FileVersion],
        schema: Struct,
        additions: Sequence[Addition],
    ) -> None:
        """Lets somebody decide about new columns, with a value of each to look at."""
        if not additions:
            return
        grown = with_additions(schema, tuple(additions))
        shown = await table.examples(carriers, grown, [a.path for a in additions])
        await self._ledger.propose(claim, [proposal(a, shown.get(a.path)) for a in additions])

    async def _publish(self, claim: BatchClaim, order: RunDefinition, table: Table, batch: _StagedBatch) -> None:
        failpoint("exec.before_publish")
        async with self._lanes.of(order.definition.destination.identifier):
            base = await self._agreed(claim, order, table)
            # Guarded: if the lease went to another executor, this raises and nothing is published from here.
            # Crash after it: the next claim reads back, and stages again if the publish never arrived.
            await self._ledger.publishing(claim, base)
            for attempt in range(PUBLISHES_MAX):
                failpoint("exec.during_publish")
                found, refusal = await _send(table, batch.staged.snapshot_id, claim.wap_id)
                if found is not None:
                    break
                await _pause_after(attempt)
            else:
                raise Temporary(
                    f"the table did not take the batch: {refusal}",
                    code="publish_refused",
                    hint="the batch is staged again",
                )
        failpoint("exec.after_publish")
        # Crash here: visible in the table, unfinished in the ledger. The next claim reads back and finalises.
        await self._finish(claim, table, found, BurnVerdict(), batch)
        failpoint("exec.after_finalise")

    async def _replace(
        self,
        claim: BatchClaim,
        order: RunDefinition,
        table: Table,
        files: Sequence[FileVersion],
        batch: _StagedBatch,
        rows_by_file: Mapping[bytes, int],
    ) -> None:
        """As ``_publish``, for rows that take the place of others: the copy is good for one state of the table, so it
        is staged anew whenever somebody else commits."""
        async with self._lanes.of(order.definition.destination.identifier):
            for attempt in range(REPLACES_MAX):
                copy = await replacement.stage_copy(
                    self._ledger,
                    claim,
                    table,
                    files,
                    batch.staged.snapshot_id,
                    rows_by_file,
                    batch.properties,
                )
                # The copy may stand on top of the batch's own publish: by an executor that woke up, or by a call of
                # ours that was given up and arrived all the same. So the table is asked now; what comes later makes
                # the copy's parent an old one.
                if (found := await table.published(claim.wap_id)) is not None:
                    break
                # Crash here: the copy is invisible. So it stays: the guard below comes after it, and whoever takes the
                # batch over ends it with a commit of its own, after which no copy from before can be published.
                if copy is not None and await self._agreed(claim, order, table) == copy.parent_id:
                    await self._ledger.staged(claim, rows_by_file, batch.bad)
                    failpoint("exec.after_audit")
                    await self._ledger.publishing(claim, copy.parent_id)
                    failpoint("exec.during_publish")
                    found, _ = await _send(table, copy.snapshot_id, claim.wap_id)
                    if found is not None:
                        break
                await _pause_after(attempt)
            else:
                raise Temporary(
                    f"{table.name} changed each time while rows of it were about to be replaced",
                    code="table_busy",
                    hint="let the other writers finish, then ask for the reload again",
                )
        failpoint("exec.after_publish")
        await self._finish(claim, table, found, BurnVerdict(), batch)
        failpoint("exec.after_finalise")

    async def _agreed(self, claim: BatchClaim, order: RunDefinition, table: Table) -> int:
        """The table's current snapshot, if the table and the ledger tell the same story of the ingestion (I9).

        Raises:
            Permanent: they do not; the ingestion is halted.
        """
        history = await table.history(claim.ingestion_id)
        doubts = await self._ledger.doubts(claim, history.batches, history.beside)
        if doubts.published:
            # Or published between the two looks, by an executor that staged it on the snapshot that was current.
            history = await table.history(claim.ingestion_id)
        rolled_back = sorted(doubts.published & history.beside)
        reason = contradiction(order.definition.destination.identifier, doubts.strangers, rolled_back)
        if reason is None:
            return history.current
        await self._ledger.halt(claim, reason)
        raise Permanent(reason.message, code=reason.error_type, hint=reason.hint)

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
            found, refusal = await _send(table, snapshot_id, claim.wap_id)
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
        batch: _StagedBatch | None = None,
    ) -> None:
        """Finalise: the ledger learns what the table holds, in one transaction with the event that tells of it.
        ``batch`` is what this attempt staged, if it got that far."""
        if found.is_burn:
            await self._end_burned(claim, verdict)
        else:
            cause = batch.cause if batch else _NO_CAUSE
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
                warnings=await table.warnings(),
            )
            await self._ledger.published(claim, published)

    async def _end_burned(self, claim: BatchClaim, verdict: BurnVerdict) -> None:
        await self._ledger.burned(claim, kept(verdict) if claim.replaces_rows else verdict)


def _properties(claim: BatchClaim, files: Sequence[FileVersion]) -> dict[str, str]:
    """What the batch's snapshot says of itself."""
    return {
        "autoloader.batch": str(claim.id),
        "autoloader.run": str(claim.run_id),
        "autoloader.ingestion": str(claim.ingestion_id),
        "autoloader.generation": str(claim.generation),
        evidence.FILES: evidence.written(files),
        ATTEMPT: str(uuid4()),
    }


async def _send(table: Table, snapshot_id: int, wap_id: str) -> tuple[Published | None, str]:
    """Publishes, and reads back: whatever the answer was, the table has the last word. With the words of a refusal."""
    refusal = "no reason given"
    try:
        await table.publish(snapshot_id)
    except (Temporary, Permanent) as e:
        refusal = e.message
    return await table.published(wap_id), refusal


async def _pause_after(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, 0.2 * 2**attempt))


async def _as_asked(table: Table, schema: Struct, order: RunDefinition, rules: Rules) -> Struct:
    """The schema, after the table was given what is asked for: columns of ours, which are null in rows of before, and
    types that hints name.

    Raises:
        Permanent: ``metadata_column_taken``, ``hint_contradicts_table``.
    """
    lacking = lacking_provenance(table.name, schema, order.definition.destination.metadata_columns, rules.rescued)
    asked = SchemaChange(tuple(Addition.of(f) for f in lacking), asked_of(table.name, schema, rules))
    return await _grown(table, schema, asked)


async def _grown(table: Table, schema: Struct, change: SchemaChange) -> Struct:
    if change.additions:
        schema = await table.add(change.additions)
    if change.widenings:
        schema = await table.widen(change.widenings)
    return schema


async def _can_tell(standing: Standing, table: Table) -> bool:
    """Whether a publish that was sent would show in the read-back: it came after its base, so an ancestry that
    reaches back to that one holds it, if it arrived."""
    return standing.publish_base is None or await table.remembers(standing.publish_base)


async def _explained(
    table: Table, batch: _StagedBatch, files: Sequence[FileVersion], fates: Mapping[bytes, Fate]
) -> dict[bytes, Fate]:
    """The fates, with the first bad line of files that have one, and the field that does not fit."""
    explained = dict(fates)
    bad = [f for f in files if f.digest in fates and _has_bad_records(fates[f.digest])]
    for f in bad[:DIAGNOSES_MAX]:
        problem = fates[f.digest].problem
        assert problem is not None
        line = await table.first_bad_line(f, batch.schema)
        clashes = compare(batch.schema, await table.infer([f])).clashes
        columns = sorted(batch.staged.misfits.get(f.digest, ()))
        reason = (
            f"column {columns[0]!r} cannot hold its value" if columns else "no record that fits the table's columns"
        )
        reason = str(clashes[0]) if clashes else reason
        where = f"the first is line {line}: " if line else ""
        explained[f.digest] = Fate(
            FileState.FAILED,
            problem.model_copy(update={"line": line, "message": f"{problem.message}; {where}{reason}"}),
        )
    return explained


def _has_bad_records(fate: Fate) -> bool:
    return fate.problem is not None and fate.problem.error_type in _HAS_BAD_RECORDS
