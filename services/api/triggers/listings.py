"""Has the sources of ingestions that follow notifications listed: when they begin to, and every ``backfill_interval``.

Notifications are hints, and hints get lost: in the bucket's configuration, in a queue, in a proxy. A listing finds what
they missed, and says how much that was. It is a run in the lane of backfills, so it never holds up fresh files.
"""

from datetime import timedelta
from uuid import UUID

from libs.common.contracts.schedule import Schedule
from libs.common.contracts.scope import Scope
from libs.common.errors import Rejected
from libs.common.logs import get_logger
from libs.common.storage.engine import Database
from services.api.looking import keep_looking
from services.api.runs.beginning import NewRun
from services.api.runs.requests import RunRequests
from services.api.triggers import following
from services.api.triggers.arrivals import ACTOR

SETTLED = timedelta(seconds=2)
"""From the moment at which an ingestion is seen to follow until its source is listed. It is more than the age of what
any scanner knows (``AGE_MAX_S`` in ``services/scanner/followers.py``): an object that is written after the listing has
passed is told of to scanners that know the ingestion."""
AGAIN_AFTER = timedelta(minutes=5)
"""After which a listing that failed is tried again."""
LOOK_EVERY = timedelta(seconds=1)
_AT_ONCE = 20
_log = get_logger(__name__)


class Listings:
    """One look every ``LOOK_EVERY``, for as long as the process lives."""

    def __init__(
        self,
        database: Database,
        requests: RunRequests,
        *,
        settled: timedelta = SETTLED,
        again_after: timedelta = AGAIN_AFTER,
    ) -> None:
        self._database = database
        self._requests = requests
        self._settled = settled
        self._again_after = again_after

    async def run(self) -> None:
        """Ends only by cancellation. An absent database is waited for, bugs are logged."""
        await keep_looking(self.look, every=LOOK_EVERY, name="listings")

    async def look(self) -> list[UUID]:
        """Asks for what is due. The ids of the runs.

        Raises:
            Temporary: code ``database_unavailable``.
        """
        async with self._database.begin() as connection:
            await following.notice_changes(connection, self._settled)
        async with self._database.read() as connection:
            due = await following.to_list(connection, again_after=self._again_after, limit=_AT_ONCE)
        asked = [await self._ask(ingestion_id) for ingestion_id in due]
        return [run_id for run_id in asked if run_id is not None]

    async def _ask(self, ingestion_id: UUID) -> UUID | None:
        try:
            async with self._database.begin() as connection:
                held = await following.hold_for_listing(connection, ingestion_id, again_after=self._again_after)
                if held is None:
                    return None
                new = NewRun("backfill", "backfill", Scope(noticed_since=held.since))
                asked = await self._requests.trigger(connection, ingestion_id, new, actor=ACTOR, if_busy="leave")
                every_s = Schedule.model_validate(held.definition["schedule"]).listed_every_s
                if asked is None or every_s is None:
                    return None
                await following.is_listed(connection, ingestion_id, asked.run_id, timedelta(seconds=every_s))
        except Rejected as error:
            _log.warning("listings.refused", ingestion_id=str(ingestion_id), code=error.code, problem=error.message)
            async with self._database.begin() as connection:
                await following.postpone(connection, ingestion_id, self._again_after)
            return None
        _log.info("listings.asked", ingestion_id=str(ingestion_id), run_id=str(asked.run_id))
        return asked.run_id
