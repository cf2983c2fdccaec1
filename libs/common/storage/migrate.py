"""Brings a database to the newest revision: ``python -m libs.common.storage.migrate``.

Safe to run at any time and by several processes at once: one transaction holds an advisory lock, makes the
schemas and applies what is missing, so the second one waits and then finds nothing to do.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from libs.common.errors import AutoloaderError
from libs.common.storage.engine import Database

SCHEMAS = ("control", "ledger")
VERSION_TABLE = "alembic_version"
# Any number does, as long as it stays the same: it names the lock "somebody migrates this database".
_LOCK = 7_310_024_001


def newest_revision() -> str:
    """The revision that this code expects."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


async def migrate(database: Database) -> None:
    """Applies all missing revisions, in one transaction.

    Raises:
        Temporary: code ``database_unavailable``.
    """
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL transaction_timeout = 0"))  # an index of a large ledger takes its time
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        for schema in SCHEMAS:
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    # Alembic interpolates %, which a path may hold.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Whether Alembic should look at it: our two schemas only, so that neighbours in the database are left alone."""
    if kind == "schema":
        return name in SCHEMAS
    return not (kind == "table" and name == VERSION_TABLE)


async def _main(url: str) -> None:
    database = Database(url, pool_size=1)
    try:
        await migrate(database)
    finally:
        await database.close()


def main() -> int:
    url = os.environ.get("AUTOLOADER_DATABASE_URL") or os.environ.get("DATABASE_URL")
    if not url:
        print("DATABASE_URL is not set; write DATABASE_URL=postgresql://user:password@host:5432/name", file=sys.stderr)
        return 2
    try:
        asyncio.run(_main(url))
    except AutoloaderError as e:
        print(f"{e.message}\n  {e.hint}", file=sys.stderr)
        return 1
    print(f"database is at revision {newest_revision()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
