"""What every transaction relies on, on the real Postgres."""

import asyncio
import threading

import asyncpg  # type: ignore[import-untyped, unused-ignore]
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from libs.common.errors import Temporary
from libs.common.storage import engine
from libs.common.storage.engine import Database, after_commit
from tests.support.databases import fresh_database_url
from tests.support.eventually import eventually

pytestmark = pytest.mark.contract

LOCK = text("SELECT pg_advisory_xact_lock(7)")
DISK_FULL = text("DO $$ BEGIN RAISE 'No space left on device' USING ERRCODE = 'disk_full'; END $$")
END_ALL_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
IS_FREE = text("SELECT pg_try_advisory_xact_lock(7)")


async def test_a_process_that_freezes_in_a_transaction_does_not_hold_up_the_others() -> None:
    """Its connection stays open, and its locks with it, until the server ends the idle transaction."""
    async with fresh_database_url(migrated=False) as url:
        frozen, other = Database(url, idle_in_transaction_s=0.3), Database(url)

        async def is_free() -> bool:
            async with other.begin() as connection:
                return bool(await connection.scalar(IS_FREE))

        try:
            with pytest.raises(Temporary, match="not available"):
                async with frozen.begin() as connection:
                    await connection.execute(LOCK)
                    assert not await is_free()
                    await eventually(is_free, 10)
                    await connection.execute(text("SELECT 1"))  # awake again: too late
        finally:
            await frozen.close()
            await other.close()


async def test_a_process_that_freezes_in_the_middle_of_a_statement_does_not_hold_up_the_others() -> None:
    """Prepared and not executed yet: to the server the connection is active, and never idle."""
    async with fresh_database_url(migrated=False) as url:
        frozen, other = Database(url, transaction_s=0.5), Database(url)

        async def is_free() -> bool:
            async with other.begin() as connection:
                return bool(await connection.scalar(IS_FREE))

        try:
            with pytest.raises(Temporary, match="not available"):
                async with frozen.begin() as connection:
                    await connection.execute(LOCK)
                    driver = (await connection.get_raw_connection()).driver_connection
                    assert driver is not None
                    await driver.prepare("SELECT 1")
                    assert not await is_free()
                    await eventually(is_free, 10)
                    await connection.execute(text("SELECT 1"))  # awake again: too late
        finally:
            await frozen.close()
            await other.close()


async def test_a_callback_runs_after_the_commit_and_never_after_a_rollback() -> None:
    """Once, however often it was asked for; a transaction that failed leaves nothing to the next one."""
    calls: list[str] = []

    def note() -> None:
        calls.append("called")

    async with fresh_database_url(migrated=False) as url:
        database = Database(url, pool_size=1)
        try:
            with pytest.raises(ValueError, match="rolled back"):
                async with database.begin() as connection:
                    after_commit(connection, note)
                    raise ValueError("rolled back")
            async with database.begin() as connection:
                await connection.execute(text("SELECT 1"))
            assert calls == []
            async with database.begin() as connection:
                after_commit(connection, note)
                after_commit(connection, note)
                assert calls == []
            assert calls == ["called"]
        finally:
            await database.close()


async def test_a_full_disk_is_named_with_its_remedy() -> None:
    """Another one than for a server that is away (F50)."""
    async with fresh_database_url(migrated=False) as url:
        database = Database(url, pool_size=1)
        try:
            with pytest.raises(Temporary, match="No space left on device") as caught:
                async with database.begin() as connection:
                    await connection.execute(DISK_FULL)
            assert "make room on the disk" in caught.value.hint
            assert "database_unavailable" == caught.value.code
        finally:
            await database.close()


async def test_what_reads_sees_one_moment_and_cannot_write() -> None:
    async with fresh_database_url(migrated=False) as url:
        database = Database(url, pool_size=1)
        try:
            async with database.read() as connection:
                assert "repeatable read" == await connection.scalar(text("SHOW transaction_isolation"))
                with pytest.raises(DBAPIError, match="read-only transaction"):
                    await connection.execute(text("CREATE TABLE t ()"))
            async with database.begin() as connection:  # the same connection
                assert "read committed" == await connection.scalar(text("SHOW transaction_isolation"))
                await connection.execute(text("CREATE TABLE t ()"))
        finally:
            await database.close()


async def test_connections_that_the_server_has_ended_are_replaced() -> None:
    """It was restarted, for example: nobody is told of that who begins a transaction afterwards."""
    async with fresh_database_url(migrated=False) as url:
        database = Database(url, pool_size=2)
        try:
            async with database.begin() as one, database.begin() as another:
                drivers = [(await each.get_raw_connection()).driver_connection for each in (one, another)]
            await _end_all_others(url)

            async def is_noticed() -> bool:
                return all(driver is not None and driver.is_closed() for driver in drivers)

            await eventually(is_noticed, 10)
            async with database.begin() as one, database.begin() as another:
                assert 1 == await one.scalar(text("SELECT 1"))
                assert 1 == await another.scalar(text("SELECT 1"))
        finally:
            await database.close()


async def test_a_process_that_stood_still_does_not_trust_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has not read yet that the server ended them."""
    monkeypatch.setattr(engine, "PING_AFTER_S", 0.0)  # for as long as it counts
    async with fresh_database_url(migrated=False) as url:
        database = Database(url, pool_size=1)
        try:
            await database.ping()
            elsewhere = threading.Thread(target=lambda: asyncio.run(_end_all_others(url)))
            elsewhere.start()
            elsewhere.join()  # blocks the loop, on purpose
            await database.ping()
        finally:
            await database.close()


async def _end_all_others(url: str) -> None:
    connection = await asyncpg.connect(url, ssl=False)
    try:
        await connection.execute(END_ALL_OTHERS)
    finally:
        await connection.close()
