"""Runs as clients see them. Reading only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, cast, exists, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common.contracts.events import Totals
from libs.common.contracts.scope import Scope
from libs.common.contracts.topics import REQUESTS_OF
from libs.common.ids import TenantId
from libs.common.ledger.states import FINAL_BATCH_STATES
from libs.common.ledger.tables import batch
from libs.common.lifecycle.run import RunStatus
from libs.common.storage.control import ingestion, outbox, run, run_error
from services.api.costs.model import Prices, Speed, Work, priced
from services.api.costs.schemas import Predicted
from services.api.ingestions import repository as ingestions
from services.api.pages import Page
from services.api.runs import repository
from services.api.runs.live import UNSEEN, Mark, Sight
from services.api.runs.progress import duration_seconds, eta_seconds, waiting_on
from services.api.runs.schemas import Prediction, Progress, RunErrorOut, RunMetrics, RunOut

ERRORS_IN_DETAIL = 100
ERRORS_IN_LIST = 5
# Postgres gives a row a new one with each change, whichever column it is in.
_ROW_VERSION = cast(literal_column("control.run.xmin"), Text)

# A run with what decides whether there is more to ask for. Statements are built once where clients poll.
_RUNS = select(
    run,
    (ingestion.c.status == "paused").label("is_paused"),
    exists().where(run_error.c.run_id == run.c.id).label("has_errors"),
).join(ingestion, ingestion.c.id == run.c.ingestion_id)
_ONE = _RUNS.where(
    run.c.id == bindparam("run_id"),
    run.c.ingestion_id == bindparam("ingestion_id"),
    ingestion.c.tenant_id == bindparam("tenant_id"),
    ingestion.c.deleted_at.is_(None),
)
_SOME = _RUNS.where(run.c.id == func.any(bindparam("run_ids", type_=ARRAY(Uuid))))
_MARKS = select(run.c.id, run.c.seq, run.c.status, _ROW_VERSION.label("version")).where(
    run.c.id == func.any(bindparam("run_ids", type_=ARRAY(Uuid)))
)


class RunViews:
    """Reads runs through a connection, and words them for clients. ``problem``: why requests cannot be sent now."""

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        topic_prefix: str,
        now: datetime,
        problem: str | None,
        speed: Speed,
        prices: Prices,
    ) -> None:
        self._connection = connection
        self._request_topics = [topic.name(topic_prefix) for topic in REQUESTS_OF.values()]
        self._now = now
        self._problem = problem
        self._speed = speed
        self._prices = prices

    async def one(self, tenant_id: TenantId, ingestion_id: UUID, run_id: UUID) -> RunOut:
        """
        Raises:
            NotFound: the ingestion, or the run.
        """
        whose = {"tenant_id": tenant_id, "ingestion_id": ingestion_id, "run_id": run_id}
        shown = await self._shown((await self._connection.execute(_ONE, whose)).all(), ERRORS_IN_DETAIL)
        if not shown:
            await ingestions.ensure_exists(self._connection, tenant_id, ingestion_id)
            raise repository.unknown(ingestion_id, run_id)
        return shown[0]

    async def sight(self, ingestion_id: UUID, run_id: UUID) -> Sight:
        """
        Raises:
            NotFound: no such run of this ingestion.
        """
        await repository.get(self._connection, ingestion_id, run_id)
        return (await self.changed({run_id: UNSEEN}))[run_id]

    async def changed(self, known: Mapping[UUID, Mark]) -> dict[UUID, Sight]:
        """Of the runs in ``known``, those that do not look like their mark any more."""
        rows = (await self._connection.execute(_MARKS, {"run_ids": list(known)})).all()
        # What an accepted run waits for changes with time, and with other rows than its own.
        stale = {row.id: row for row in rows if row.status == RunStatus.ACCEPTED or row.version != known[row.id][0]}
        if not stale:
            return {}
        found = await self._connection.execute(_SOME, {"run_ids": list(stale)})
        shown = await self._shown(found.all(), ERRORS_IN_DETAIL)
        sights = [Sight(each, stale[each.id].seq, (stale[each.id].version, each.waiting_on)) for each in shown]
        return {sight.run.id: sight for sight in sights if sight.mark != known[sight.run.id]}

    async def page(self, ingestion_id: UUID, page: Page) -> tuple[list[RunOut], int]:
        """One page, newest first, and the length of the whole list."""
        mine = run.c.ingestion_id == ingestion_id
        total = await self._connection.scalar(select(func.count()).select_from(run).where(mine))
        newest_first = _RUNS.where(mine).order_by(run.c.created_at.desc(), run.c.id.desc())
        rows = (await self._connection.execute(newest_first.limit(page.limit).offset(page.offset))).all()
        return await self._shown(rows, ERRORS_IN_LIST), total or 0

    async def _shown(self, rows: Sequence[Row[Any]], errors_max: int) -> list[RunOut]:
        errors, counts = await self._errors([row.id for row in rows if row.has_errors], errors_max)
        unsent = await self._unsent({row.ingestion_id for row in rows if row.status == RunStatus.ACCEPTED})
        left = await self._left({row.id for row in rows if row.status == RunStatus.RUNNING})
        return [
            self._worded(
                row,
                errors[row.id],
                counts.get(row.id, 0),
                is_unsent=row.ingestion_id in unsent,
                left_because=left.get(row.id),
            )
            for row in rows
        ]

    async def _errors(
        self, run_ids: Sequence[UUID], errors_max: int
    ) -> tuple[defaultdict[UUID, list[RunErrorOut]], dict[UUID, int]]:
        """The first errors of each run, and how many each has."""
        found: defaultdict[UUID, list[RunErrorOut]] = defaultdict(list)
        counts: dict[UUID, int] = {}
        if not run_ids:
            return found, counts
        place = func.row_number().over(partition_by=run_error.c.run_id, order_by=run_error.c.id)
        count = func.count().over(partition_by=run_error.c.run_id)
        ranked = (
            select(run_error, place.label("place"), count.label("error_count"))
            .where(run_error.c.run_id.in_(run_ids))
            .subquery()
        )
        query = select(ranked).where(ranked.c.place <= errors_max).order_by(ranked.c.id)
        for row in await self._connection.execute(query):
            counts[row.run_id] = row.error_count
            found[row.run_id].append(
                RunErrorOut(
                    file=row.file or None,
                    error_type=row.error_type,
                    message=row.message,
                    hint=row.hint,
                    line=row.line,
                    timestamp=row.occurred_at,
                )
            )
        return found, counts

    async def _unsent(self, ingestion_ids: set[UUID]) -> set[UUID]:
        """Ingestions whose run request still waits in the outbox."""
        if not ingestion_ids or self._problem is None:
            return set()
        keys = [str(ingestion_id) for ingestion_id in ingestion_ids]
        query = select(outbox.c.key).where(outbox.c.topic.in_(self._request_topics), outbox.c.key.in_(keys))
        return {UUID(key) for key in await self._connection.scalars(query)}

    async def _left(self, run_ids: set[UUID]) -> dict[UUID, str]:
        """Of runs with batches that an executor left for a later attempt: the latest reason."""
        if not run_ids:
            return {}
        unfinished = (
            select(batch.c.run_id, batch.c.last_error)
            .where(
                batch.c.run_id.in_(run_ids),
                batch.c.state.not_in(FINAL_BATCH_STATES),
                batch.c.last_error.is_not(None),
            )
            .order_by(batch.c.updated_at)
        )
        return {row.run_id: row.last_error for row in await self._connection.execute(unfinished)}

    def _prediction(self, row: Row[Any], totals: Totals) -> Prediction | None:
        if row.predicted is None:
            return None
        seconds = duration_seconds(row.started_at, row.ended_at, self._now)
        actual = None
        if row.ended_at is not None:
            listed = totals.files_discovered + totals.files_skipped
            work = Work(listed, totals.files_done, totals.bytes_read, totals.batches_done)
            actual = Predicted(
                files=totals.files_done,
                size_bytes=totals.bytes_read,
                records=totals.records_ingested,
                snapshots=len(row.snapshots),
                duration_seconds=seconds,
                cost_usd=priced(work, seconds or 0, self._speed, self._prices).usd,
            )
        return Prediction(predicted=Predicted.model_validate(row.predicted), actual=actual)

    def _worded(
        self,
        row: Row[Any],
        errors: list[RunErrorOut],
        error_count: int,
        *,
        is_unsent: bool,
        left_because: str | None,
    ) -> RunOut:
        totals, status = Totals.model_validate(row.totals), RunStatus(row.status)
        return RunOut(
            id=row.id,
            ingestion_id=row.ingestion_id,
            status=status,
            queued=row.dispatched_at is None and row.ended_at is None,
            waiting_on=waiting_on(
                status,
                row.dispatched_at,
                self._now,
                unsent_because=self._problem if is_unsent else None,
                is_paused=row.is_paused,
                left_because=left_because,
            ),
            cancel_requested_at=row.cancel_requested_at,
            trigger=row.trigger,
            retry_of=row.retry_of,
            prediction=self._prediction(row, totals),
            scope=Scope.model_validate(row.scope) if row.scope else None,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            progress=Progress(
                files_discovered=totals.files_discovered,
                files_done=totals.files_done,
                batches_planned=totals.batches_planned,
                batches_done=totals.batches_done,
                eta_seconds=None if row.ended_at else eta_seconds(totals, row.started_at, self._now),
            ),
            metrics=RunMetrics(
                files_processed=totals.files_done,
                files_skipped=totals.files_skipped,
                files_failed=totals.files_failed,
                records_ingested=totals.records_ingested,
                records_quarantined=totals.records_quarantined,
                bytes_read=totals.bytes_read,
                bytes_written=totals.bytes_written,
                duration_seconds=duration_seconds(row.started_at, row.ended_at, self._now),
                error_count=error_count,
            ),
            errors=errors,
            snapshots=row.snapshots,
            schema_version=totals.schema_version,
            warnings=row.warnings,
        )
