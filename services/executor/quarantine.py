"""Bad records on their way into a table's quarantine, beside the batch that they were in.

    stage rows ── stage bad records ── audit ── publish rows ── publish bad records ── finalise

There are two tables and no transaction over both, so one decides: the batch happened if its *rows* were published. The
bad records are staged before that, under the same wap id, and published after it, by whoever finds the rows in the
table's ancestry. So a burn of the batch needs no burn in the quarantine: nobody publishes there without rows here. And
each staged copy names its attempt, as the rows do: what is published is what belongs to those rows, whoever does it.

Crash between the two publishes: the rows are visible, the batch is unfinished, and its next claim, which reads back,
publishes the bad records first. See docs/adr/0017.
"""

from collections.abc import Mapping

from libs.common.errors import Permanent, Temporary
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.files import BadRecords
from libs.common.logs import get_logger
from services.executor.attempt import Attempt
from services.executor.domain.tolerance import Tolerance
from services.executor.ports import Ledger, Published, Table
from services.executor.staged_batch import StagedBatch

PUBLISHES_MAX = 5
_log = get_logger(__name__)


async def stage(attempt: Attempt, batch: StagedBatch, tolerance: Tolerance) -> Mapping[bytes, BadRecords]:
    """Stages the bad records that the pass over the batch counted: a second look at the files that have some. Nothing,
    if a file has more than it may: the batch is not published then.

    Raises:
        SourceChanged, FilesUnreadable: as ``Table.stage``.
        Temporary: ``miscounted``: the second look saw something else.
    """
    reads = [(f, batch.staged.read_of(f)) for f in attempt.files]
    bad = {f: read.bad for f, read in reads if read.bad}
    if not bad or any(tolerance.objection(f, read.rows, read.bad) for f, read in reads):
        return {}
    wap_id = attempt.claim.wap_id
    found = await attempt.table.stage_bad_records(tuple(bad), batch.schema, wap_id, batch.properties)
    counted, seen = sum(bad.values()), sum(of_file.count for of_file in found.values())
    if {f.digest: count for f, count in bad.items()} != {digest: of_file.count for digest, of_file in found.items()}:
        raise Temporary(
            f"the staging pass counted {counted:,} bad records, and a second look at their files {seen:,}",
            code="miscounted",
            hint="the batch is staged again",
        )
    return found


async def publish(claim: BatchClaim, table: Table, found: Published, *, is_staged: bool = False) -> None:
    """Makes visible what was set aside beside the rows of ``found``, if anything was; ``is_staged``: we know that
    something was. May be called again, by anybody.

    Raises:
        Temporary: ``publish_refused``: the quarantine does not take it now.
    """
    if (snapshot_id := await table.staged_bad_records(claim.wap_id, found.attempt)) is None:
        if is_staged:
            _log.error("quarantine.lost", batch_id=str(claim.id), table=table.name)
        return
    refusal = "no reason given"
    for _ in range(PUBLISHES_MAX):
        # As in the table: whatever the answer was, the ancestry has the last word.
        if await table.has_bad_records(claim.wap_id):
            return
        try:
            await table.publish_bad_records(snapshot_id)
        except (Temporary, Permanent) as e:
            refusal = e.message
    if await table.has_bad_records(claim.wap_id):
        return
    raise Temporary(
        f"the quarantine of {table.name} did not take the batch's bad records: {refusal}",
        code="publish_refused",
        hint="it is tried again",
    )


async def forget_replaced(ledger: Ledger, claim: BatchClaim, table: Table) -> None:
    """Takes out of the quarantine what stands there of the files whose rows the batch has replaced. The batches that
    put it there are named, so whoever comes late with this takes out nothing that came since.

    Raises:
        Fenced: the claim is lost.
    """
    loaded = (await ledger.loaded(claim)).values()
    old = [(batch_id, known.files[0].uri) for known in loaded for batch_id in known.bad_from]
    if old:
        await table.remove_bad_records({batch_id for batch_id, _ in old}, [uri for _, uri in old])
