"""What an operator does to Postgres: keep a copy, go back to it, lose everything."""

from sqlalchemy import text

from libs.common.ledger import tables as ledger
from libs.common.storage import control
from libs.common.storage.engine import Database
from libs.common.storage.metadata import metadata

_COPY = "backup_copy"


async def back_up(database_url: str) -> None:
    """Keeps a copy of every row. The latest copy counts."""
    await _execute(
        database_url,
        f"DROP SCHEMA IF EXISTS {_COPY} CASCADE",
        f"CREATE SCHEMA {_COPY}",
        *(f"CREATE TABLE {_COPY}.{t.schema}_{t.name} AS TABLE {t.schema}.{t.name}" for t in metadata.sorted_tables),
    )


async def restore(database_url: str) -> None:
    """Everything is as it was when ``back_up`` was called."""
    tables = metadata.sorted_tables
    await _execute(
        database_url,
        f"TRUNCATE {', '.join(f'{t.schema}.{t.name}' for t in tables)} CASCADE",
        *(f"INSERT INTO {t.schema}.{t.name} OVERRIDING SYSTEM VALUE TABLE {_COPY}.{t.schema}_{t.name}" for t in tables),
    )


async def lose_ledger(database_url: str) -> None:
    """The ledger's rows are gone; definitions and runs are still there."""
    names = [f"{t.schema}.{t.name}" for t in metadata.sorted_tables if t.schema == ledger.SCHEMA]
    await _execute(database_url, f"TRUNCATE {', '.join(names)} CASCADE")


async def lose_everything(database_url: str) -> None:
    """Not even the definitions are left."""
    names = [f"{t.schema}.{t.name}" for t in metadata.sorted_tables if t.schema in (ledger.SCHEMA, control.SCHEMA)]
    await _execute(database_url, f"TRUNCATE {', '.join(names)} CASCADE")


async def _execute(database_url: str, *statements: str) -> None:
    database = Database(database_url, pool_size=1)
    try:
        async with database.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
    finally:
        await database.close()
