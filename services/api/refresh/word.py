"""Waiting for what the executor says of a refresh."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.common.storage.engine import Database
from services.api.refresh import repository

_LOOK_EVERY_S = 0.1


class ExecutorsWord:
    """``wait`` bounds how long an answer waits for it."""

    def __init__(self, database: Database, *, wait: timedelta) -> None:
        self._database = database
        self._wait = wait

    async def on(self, refresh_id: UUID) -> Row[Any]:
        """The refresh as soon as something was said of it, or as it is when the wait is over."""
        deadline = asyncio.get_running_loop().time() + self._wait.total_seconds()
        while True:
            async with self._database.read() as connection:
                row = await repository.get(connection, refresh_id)
            assert row is not None
            if row.told_at is not None or asyncio.get_running_loop().time() >= deadline:
                return row
            await asyncio.sleep(_LOOK_EVERY_S)
