"""What facts make of runs, in the caller's transaction: of one, or of hundreds at the price of a few statements."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import RunCompleted, RunFact
from libs.common.lifecycle.run import Run, RunStatus, advance
from libs.common.storage.outbox import Outbox
from services.api.refresh.completion import replace_when_built
from services.api.runs import projection, repository
from services.api.runs.projection import Change
from services.api.runs.states import tell_changes
from services.api.webhooks.announcing import announce_facts


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that a fact has ended, and the queued runs that start because of it."""

    run_id: UUID
    ingestion_id: UUID
    run: Run
    started: Sequence[UUID]


async def fold(connection: AsyncConnection, outbox: Outbox, facts: Sequence[RunFact]) -> list[Ended]:
    """``advance`` on the stored runs, in the transaction of ``connection``. Facts of one run count in the order given;
    each run that changes is told once.

    Raises:
        Permanent: code ``unknown_run``; nothing was changed.
    """
    if completed := {fact.run_id for fact in facts if isinstance(fact, RunCompleted)}:
        # First ingestions, then runs, as everybody: a request that comes now sees the run either active, and queues
        # behind it before we look for queued runs, or ended.
        await projection.lock_ingestions_of(connection, completed)
    by_run: dict[UUID, list[RunFact]] = defaultdict(list)
    for fact in facts:
        by_run[fact.run_id].append(fact)
    rows = await projection.lock(connection, by_run.keys())
    changes, news = [], []
    for run_id, of_run in by_run.items():
        before = projection.folded(rows[run_id])
        after = reduce(advance, of_run, before)
        if after != before:
            changes.append(Change(rows[run_id], before, after, max(fact.occurred_at for fact in of_run)))
            news += of_run
    if not changes:
        return []
    await projection.store(connection, changes)
    states = await tell_changes(connection, outbox, changes)
    await announce_facts(connection, [(fact, states[fact.run_id]) for fact in news])
    return await _what_follows(connection, outbox, [change for change in changes if change.has_ended])


async def _what_follows(connection: AsyncConnection, outbox: Outbox, ended: Sequence[Change]) -> list[Ended]:
    """Of the runs that have ended."""
    if not ended:
        return []
    found = []
    with_followers = await projection.with_followers(connection, {change.row.ingestion_id for change in ended})
    for change in ended:
        started: list[UUID] = []
        if (ingestion_id := change.row.ingestion_id) in with_followers:
            if change.after.status is RunStatus.SUCCESS:
                await replace_when_built(connection, outbox, ingestion_id)
            started = await repository.dispatch_queued(connection, outbox, ingestion_id)
        found.append(Ended(change.row.id, ingestion_id, change.after, started))
    return found
