"""Notices files that did not come: judges each period of each rule when its time is over, once, and looks again for
what was missing.

The store is asked, not the ledger: markers are not loaded, and a file that is there but not loaded has come. Several
processes look; a guarded update lets one of them tell, in one transaction with the event. What if the process stops
before it? Nothing was told, and the next look judges the period again.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.common import metrics
from libs.common.completeness.expected import Keys, Period, due, first_judged_from, keys_of
from libs.common.contracts.definition import Definition
from libs.common.contracts.events import ExpectedFileArrived, ExpectedFileMissing
from libs.common.contracts.expected import ExpectedArrival
from libs.common.contracts.topics import COMPLETENESS
from libs.common.errors import AutoloaderError
from libs.common.logs import get_logger
from libs.common.objects.ports import ObjectStore
from libs.common.secrets import SecretBox
from libs.common.storage.definitions import open_credentials
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.completeness import misses, repository
from services.api.looking import keep_looking
from services.api.webhooks import announcing

_AT_ONCE = 100
_log = get_logger(__name__)


class Expectations:
    """One look every ``interval``; what is missing is looked for every ``again``."""

    def __init__(
        self,
        database: Database,
        box: SecretBox,
        objects: ObjectStore,
        outbox: Outbox,
        *,
        interval: timedelta,
        again: timedelta,
    ) -> None:
        self._database = database
        self._box = box
        self._objects = objects
        self._outbox = outbox
        self._interval = interval
        self._again = again

    async def run(self) -> None:
        """For ever; ends only by cancellation. An absent database is waited for, bugs are logged."""
        await keep_looking(self.look, every=self._interval, name="expected")

    async def look(self) -> None:
        """Everything once. A store that cannot be asked is asked again by the next look.

        Raises:
            Temporary: code ``database_unavailable``.
        """
        async with self._database.read() as connection:
            rows = await misses.with_rules(connection)
        for row in rows:
            for rule in Definition.model_validate(row.definition).quality.expected_arrivals:
                await self._judge(row, rule)
        async with self._database.begin() as connection:
            missed = await misses.take_to_look(connection, self._again, _AT_ONCE)
        for row in missed:
            await self._look_again(row)

    async def _judge(self, row: Row[Any], rule: ExpectedArrival) -> None:
        async with self._database.begin() as connection:
            now = await repository.now(connection)
            judged_until = await misses.cursor(connection, row.id, rule.name, first_judged_from(rule, now))
        for period in due(rule, judged_until, now):
            keys = keys_of(rule, period)
            found = await self._count(row.id, row, keys, rule.at_least)
            if found is None:
                return
            if not await self._tell_if_missing(row, rule, period, keys, found):
                return

    async def _tell_if_missing(
        self, row: Row[Any], rule: ExpectedArrival, period: Period, keys: str, found: int
    ) -> bool:
        """False: another process judges this rule."""
        async with self._database.begin() as connection:
            if not await misses.judge(connection, row.id, rule.name, period.ends):
                return False
            if found >= rule.at_least:
                return True
            at = await misses.miss(connection, row.id, rule, period, keys, found)
            fact = ExpectedFileMissing(
                ingestion_id=row.id,
                tenant_id=row.tenant_id,
                rule=rule.name,
                pattern=keys,
                begins=period.begins,
                ends=period.ends,
                expected=rule.at_least,
                found=found,
                occurred_at=at,
            )
            await self._tell(connection, fact)
        metrics.EXPECTED_FILES.labels(outcome="missing").inc()
        _log.warning("expected.missing", ingestion_id=str(row.id), rule=rule.name, pattern=keys, found=found)
        return True

    async def _look_again(self, row: Row[Any]) -> None:
        found = await self._count(row.ingestion_id, row, row.pattern, row.at_least)
        if found is None or found < row.at_least:
            return
        async with self._database.begin() as connection:
            at = await misses.arrive(connection, row, found)
            if at is None:
                return
            fact = ExpectedFileArrived(
                ingestion_id=row.ingestion_id,
                tenant_id=row.tenant_id,
                rule=row.rule,
                pattern=row.pattern,
                begins=row.begins,
                ends=row.ends,
                expected=row.at_least,
                missed_at=row.missed_at,
                occurred_at=at,
            )
            await self._tell(connection, fact)
        metrics.EXPECTED_FILES.labels(outcome="late").inc()
        _log.info("expected.arrived", ingestion_id=str(row.ingestion_id), rule=row.rule, pattern=row.pattern)

    async def _tell(self, connection: AsyncConnection, fact: ExpectedFileMissing | ExpectedFileArrived) -> None:
        await self._outbox.enqueue(connection, COMPLETENESS, fact)
        about = f"{fact.ingestion_id} {fact.rule} {fact.begins.isoformat()}"
        await announcing.announce(connection, fact.tenant_id, fact.ingestion_id, fact, about=about)

    async def _count(self, ingestion_id: UUID, row: Row[Any], pattern: str, enough: int) -> int | None:
        """How many files of a period are there, ``enough`` at most; None if the store cannot be asked."""
        source = Definition.model_validate(row.definition).source
        try:
            keys = Keys(pattern, source.prefix)
            access = open_credentials(self._box, ingestion_id, row.sealed)
            if keys.is_one:
                there = await self._objects.versions(source.bucket, [keys.prefix], access)
                return sum(version is not None for version in there.values())
            found = 0
            async for page in self._objects.pages(source.bucket, keys.prefix, access):
                found += sum(keys.have(f.key) and not f.is_folder_marker for f in page)
                if found >= enough:
                    break
            return found
        except AutoloaderError as error:
            _log.warning("expected.not_looked", ingestion_id=str(ingestion_id), code=error.code, problem=error.message)
            return None
