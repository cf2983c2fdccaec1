"""A staged batch becomes visible, once: the ledger is asked for the right, the table takes it, and is read back.

Rows that are added may be published on whatever is current by then. Rows that take the place of others come as a copy
of the table, which is good for one state of it.
"""

import asyncio
import random
from collections.abc import Mapping

from libs.common import metrics
from libs.common.errors import Permanent, Temporary
from libs.common.failpoints import failpoint
from services.executor import replacement
from services.executor.attempt import Attempt
from services.executor.domain.guard import contradiction
from services.executor.ports import Ledger, Published, Table
from services.executor.staged_batch import StagedBatch
from services.executor.table_lanes import TableLanes

PUBLISHES_MAX = 5
REPLACES_MAX = 6
"""How often one attempt stages a copy with replaced rows before it leaves the table to those who keep changing it."""


async def publish(
    ledger: Ledger, lanes: TableLanes, attempt: Attempt, batch: StagedBatch, rows_by_file: Mapping[bytes, int]
) -> Published | None:
    """Makes an audited batch visible; returns what the table holds of it, which may be somebody else's copy, or burn.
    None: it must be burned: an earlier attempt that counted something else may be published yet, and what the ledger
    says of a batch has to be true of the rows that are there (I7).

    Raises:
        Fenced: the claim is lost; nothing was published from here.
        Temporary: ``publish_refused``; ``table_busy``: others keep changing the table.
        Permanent: ledger and table contradict each other; the ingestion is halted.
    """
    if attempt.claim.replaces_rows:
        return await _publish_copy(ledger, lanes, attempt, batch, rows_by_file)
    return await _publish_rows(ledger, lanes, attempt, batch, rows_by_file)


async def send(table: Table, snapshot_id: int, wap_id: str) -> tuple[Published | None, str]:
    """Publishes, and reads back: whatever the answer was, the table has the last word. With the words of a refusal."""
    refusal = "no reason given"
    try:
        await table.publish(snapshot_id)
    except (Temporary, Permanent) as e:
        refusal = e.message
    found = await table.published(wap_id)
    metrics.PUBLISHES.labels(outcome="refused" if found is None else "taken").inc()
    return found, refusal


async def _publish_rows(
    ledger: Ledger, lanes: TableLanes, attempt: Attempt, batch: StagedBatch, rows_by_file: Mapping[bytes, int]
) -> Published | None:
    claim, table = attempt.claim, attempt.table
    if not await ledger.staged(claim, rows_by_file, batch.bad):
        return None
    failpoint("exec.after_audit")
    failpoint("exec.before_publish")
    async with lanes.of(attempt.destination):
        base = await _agreed(ledger, attempt)
        # Guarded: if the lease went to another executor, this raises and nothing is published from here.
        # Crash after it: the next claim reads back, and stages again if the publish never arrived.
        await ledger.publishing(claim, base)
        for tries in range(PUBLISHES_MAX):
            failpoint("exec.during_publish")
            found, refusal = await send(table, batch.staged.snapshot_id, claim.wap_id)
            if found is not None:
                return found
            await _pause_after(tries)
    raise Temporary(
        f"the table did not take the batch: {refusal}", code="publish_refused", hint="the batch is staged again"
    )


async def _publish_copy(
    ledger: Ledger, lanes: TableLanes, attempt: Attempt, batch: StagedBatch, rows_by_file: Mapping[bytes, int]
) -> Published | None:
    """The copy is staged anew whenever somebody else commits."""
    claim, table = attempt.claim, attempt.table
    async with lanes.of(attempt.destination):
        for tries in range(REPLACES_MAX):
            copy = await replacement.stage_copy(ledger, attempt, batch, rows_by_file)
            # The copy may stand on top of the batch's own publish: by an executor that woke up, or by a call of ours
            # that was given up and arrived all the same. So the table is asked now; what comes later makes the copy's
            # parent an old one.
            if (found := await table.published(claim.wap_id)) is not None:
                return found
            # Crash here: the copy is invisible. So it stays: the guard below comes after it, and whoever takes the
            # batch over ends it with a commit of its own, after which no copy from before can be published.
            if copy is not None and await _agreed(ledger, attempt) == copy.parent_id:
                if not await ledger.staged(claim, rows_by_file, batch.bad):
                    return None
                failpoint("exec.after_audit")
                await ledger.publishing(claim, copy.parent_id)
                failpoint("exec.during_publish")
                found, _ = await send(table, copy.snapshot_id, claim.wap_id)
                if found is not None:
                    return found
            await _pause_after(tries)
    raise Temporary(
        f"{table.name} changed each time while rows of it were about to be replaced",
        code="table_busy",
        hint="let the other writers finish, then ask for the reload again",
    )


async def _agreed(ledger: Ledger, attempt: Attempt) -> int:
    """The table's current snapshot, if the table and the ledger tell the same story of the ingestion (I9).

    Raises:
        Permanent: they do not; the ingestion is halted.
    """
    claim, table = attempt.claim, attempt.table
    history = await table.history(claim.ingestion_id)
    doubts = await ledger.doubts(claim, history.batches, history.beside)
    if doubts.published:
        # Or published between the two looks, by an executor that staged it on the snapshot that was current.
        history = await table.history(claim.ingestion_id)
    rolled_back = sorted(doubts.published & history.beside)
    reason = contradiction(attempt.destination, doubts.strangers, rolled_back)
    if reason is None:
        return history.current
    await ledger.halt(claim, reason)
    raise Permanent(reason.message, code=reason.error_type, hint=reason.hint)


async def _pause_after(tries: int) -> None:
    await asyncio.sleep(random.uniform(0, 0.2 * 2**tries))
