"""Asks each thing that the API needs whether it works, and says what is wrong in one line."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import text

from libs.common.errors import AutoloaderError, Permanent
from libs.common.storage.engine import Database

CHECK_S = 3.0
Check = Callable[[], Awaitable[object]]


async def problems(checks: Mapping[str, Check], timeout_s: float = CHECK_S) -> dict[str, str | None]:
    """Runs all checks at once. None: it works."""
    answers = await asyncio.gather(*(_problem(check, timeout_s) for check in checks.values()))
    return dict(zip(checks, answers, strict=True))


async def _problem(check: Check, timeout_s: float) -> str | None:
    try:
        async with asyncio.timeout(timeout_s):
            await check()
    except AutoloaderError as error:
        return f"{error.message} ({error.hint})" if error.hint else error.message
    except TimeoutError:
        return f"no answer within {timeout_s:g} seconds"
    except Exception as error:  # noqa: BLE001 - a health check answers whatever happens; what it says is for operators
        return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0][:300]
    return None


def database_check(database: Database, newest_revision: str) -> Check:
    """Postgres answers, and its tables are those that this code expects."""

    async def check() -> None:
        async with database.read() as connection:
            exists = await connection.scalar(text("SELECT to_regclass('control.alembic_version') IS NOT NULL"))
            query = text("SELECT version_num FROM control.alembic_version")
            revision = await connection.scalar(query) if exists else None
        if revision is None or revision < newest_revision:
            raise Permanent(
                f"Postgres answers, but its tables are at revision {revision} and {newest_revision} is needed",
                code="not_migrated",
                hint="run: python -m libs.common.storage.migrate",
            )

    return check
