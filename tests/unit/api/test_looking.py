"""What looks for what is due goes on looking, whatever a look meets."""

import asyncio
from datetime import timedelta

from libs.common.errors import Temporary
from services.api import looking
from services.api.looking import keep_looking
from tests.support.eventually import eventually


async def test_neither_an_absent_database_nor_a_bug_ends_it() -> None:
    """The next look comes after each."""
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise Temporary("the database is away", code="database_unavailable")
        if looks == 2:
            raise ZeroDivisionError

    task = asyncio.create_task(keep_looking(look, every=timedelta(milliseconds=1), name="test"))
    try:
        await eventually(lambda: looks > 3, looking._AFTER_TROUBLE.total_seconds() * 10)
        assert not task.done()
    finally:
        task.cancel()
