"""The database engine, and the one way to open a transaction.

``Database.begin()`` yields a connection inside a transaction; ``Database.read()`` yields one that cannot write.
Both translate driver errors at this border: nobody above sees asyncpg.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from libs.common.errors import Temporary

# SQLSTATE classes that pass by themselves, or as soon as an operator has done his part: connection trouble, logging in,
# resources, shutdown; a database that is not there yet (3D000), tables that are not there yet (42P01, 3F000),
# serialisation and deadlock (40001, 40P01), a lock that did not come (55P03), a transaction that stood still (25P03)
# or took too long (25P04).
_TEMPORARY_PREFIXES = ("08", "28", "53", "57")
_TEMPORARY_CODES = frozenset({"3D000", "3F000", "42P01", "40001", "40P01", "55P03", "25P03", "25P04"})
_HINT = "check that Postgres runs, that DATABASE_URL points at it, and that `autoloader migrate` has run"
_HINTS = {"53100": "make room on the disk of Postgres; everything goes on by itself then"}
_AFTER_COMMIT = "autoloader.after_commit"
_USED_AT = "autoloader.used_at"

IDLE_IN_TRANSACTION_S = 15.0
"""How long a process that froze in the middle of a transaction may hold up the others. Its connection is still open,
so its locks (a batch's row, the relay's turn) would stay for as long as it is frozen; the server ends it instead.
Longer than the relay may wait for Kafka, which is the longest that a transaction of ours waits for anything."""

TRANSACTION_S = 30.0
"""How long one transaction may take. A process that froze between the two halves of a statement (prepared, not
executed yet) does not count as idle: to the server it is active, with its locks, for as long as it is frozen. Needs
Postgres 17."""

COMMAND_S = 20.0
"""How long one statement may take. A server that froze, or a network that drops packets without a word, must not hold a
caller for ever. Longer than ``IDLE_IN_TRANSACTION_S``, since a statement may wait for a lock of a frozen process."""


PING_AFTER_S = 1.0
"""A connection that was used less than so long ago is taken without asking whether it is alive: to ask takes three
round trips, which is as much as many a transaction."""


def async_url(database_url: str) -> str:
    """``postgresql://…`` as users write it, with the asyncpg driver named."""
    for scheme in ("postgresql://", "postgres://"):
        if database_url.startswith(scheme):
            return "postgresql+asyncpg://" + database_url.removeprefix(scheme)
    return database_url


class Database:
    """A pool of connections. One per process, closed at shutdown."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        connect_timeout_s: float = 5,
        pool_timeout_s: float = 10,
        idle_in_transaction_s: float = IDLE_IN_TRANSACTION_S,
        transaction_s: float = TRANSACTION_S,
    ) -> None:
        self.engine: AsyncEngine = create_async_engine(
            async_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout_s,
            connect_args={
                "timeout": connect_timeout_s,
                "command_timeout": COMMAND_S,
                "server_settings": {
                    "timezone": "UTC",
                    "idle_in_transaction_session_timeout": f"{round(idle_in_transaction_s * 1000)}ms",
                    "transaction_timeout": f"{round(transaction_s * 1000)}ms",
                },
            },
        )
        # Said with BEGIN, and not in a statement of its own.
        self._reading = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        _take_the_living(self.engine.sync_engine)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: commits when the block ends, rolls back when it raises.

        Raises:
            Temporary: code ``database_unavailable``; whether a COMMIT that was cut off happened is unknown, so
                every effect in here is written to be safe to repeat.
        """
        with _translated():
            async with self.engine.begin() as connection:
                connection.info.pop(_AFTER_COMMIT, None)  # left by a transaction that rolled back
                yield connection
                callbacks = connection.info.pop(_AFTER_COMMIT, ())
        for callback in callbacks:
            callback()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction with one snapshot of the data."""
        with _translated():
            async with self._reading.connect() as connection:
                yield connection

    async def ping(self) -> None:
        """Returns if the database answers; raises ``Temporary`` if not."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def now(self) -> datetime:
        """The time on the database's clock, which is that of all leases."""
        async with self.read() as connection:
            now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            return now

    async def close(self) -> None:
        await self.engine.dispose()


def _take_the_living(engine: Engine) -> None:
    """The pool gives no connection away that has broken since it was used, as far as we can know. One that does makes
    it forget all, since a server that went away broke them all."""

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: Any, _proxy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        used_at = record.info.get(_USED_AT)
        if used_at is None or time.monotonic() - used_at < PING_AFTER_S:  # None: it was opened just now
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.dbapi.Error as error:  # type: ignore[union-attr]
            raise InvalidatePoolError from error

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info[_USED_AT] = time.monotonic()


def after_commit(connection: AsyncConnection, callback: Callable[[], None]) -> None:
    """Calls ``callback`` once when the transaction of ``connection`` has committed; never if it rolls back.

    The callback must not fail. It is registered once, however often it is given.
    """
    connection.info.setdefault(_AFTER_COMMIT, set()).add(callback)


class _translated:  # noqa: N801 - reads as a clause: `with _translated():`
    """Maps driver errors to ours; the cause is kept."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and is_temporary(error):
            raise Temporary(
                f"Postgres is not available: {_first_line(error)}",
                code="database_unavailable",
                hint=_HINTS.get(_sqlstate(error), _HINT),
            ) from error


def is_temporary(error: BaseException) -> bool:
    """Whether a database error may pass by itself."""
    if isinstance(error, PoolTimeout | OSError):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or isinstance(error, InterfaceError):
            return True
        code = _sqlstate(error)
        return code.startswith(_TEMPORARY_PREFIXES) or code in _TEMPORARY_CODES or isinstance(error, OperationalError)
    return False


def _sqlstate(error: BaseException) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


def _first_line(error: BaseException) -> str:
    return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0][:200]
