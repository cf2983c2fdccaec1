"""Repeats the command of every refresh that has not ended: its message, or the answer to it, may be lost."""

from datetime import timedelta

from libs.common.logs import get_logger
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.looking import keep_looking
from services.api.refresh import repository
from services.api.runs.upkeep import Reminders

_log = get_logger(__name__)


class RefreshReminder:
    """One look every ``interval``; each repetition of one command doubles its pause."""

    def __init__(self, database: Database, outbox: Outbox, *, interval: timedelta) -> None:
        self._database = database
        self._outbox = outbox
        self._interval = interval
        self._reminders = Reminders(interval)

    async def run(self) -> None:
        """For ever; ends only by cancellation. An absent database is waited for, bugs are logged."""
        await keep_looking(self.remind, every=self._interval, name="reminder")

    async def remind(self) -> None:
        """Raises ``Temporary`` when the database is away."""
        async with self._database.begin() as connection:
            # The database's clock: that of this process may be an hour behind.
            now = await repository.now(connection)
            for refresh_id in self._reminders.due(await repository.unfinished(connection), now):
                await repository.announce(connection, self._outbox, refresh_id)
