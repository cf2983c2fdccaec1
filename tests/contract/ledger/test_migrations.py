"""A migrated database is the database that the code's metadata describes."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from libs.common.storage.engine import Database
from libs.common.storage.metadata import metadata
from libs.common.storage.migrate import SCHEMAS, VERSION_TABLE, is_ours, migrate, newest_revision
from tests.support.databases import fresh_database_url

pytestmark = pytest.mark.asyncio

# What Alembic's comparison leaves out, Postgres itself spells: partial and expression indexes, keys, defaults.
_DESCRIPTION = f"""
SELECT schemaname || '.' || tablename || ' index ' || indexdef FROM pg_indexes
 WHERE schemaname IN {SCHEMAS} AND tablename <> '{VERSION_TABLE}'
UNION ALL
SELECT conrelid::regclass || ' constraint ' || conname || ' ' || pg_get_constraintdef(c.oid) FROM pg_constraint c
  JOIN pg_namespace n ON n.oid = c.connamespace
 WHERE n.nspname IN {SCHEMAS} AND conrelid::regclass::text NOT LIKE '%{VERSION_TABLE}'
UNION ALL
SELECT concat_ws(' ', table_schema || '.' || table_name, 'column', column_name, data_type, udt_name, is_nullable,
                 column_default, is_identity, identity_generation,
                 col_description((table_schema || '.' || table_name)::regclass, ordinal_position::int),
                 obj_description((table_schema || '.' || table_name)::regclass))
  FROM information_schema.columns WHERE table_schema IN {SCHEMAS} AND table_name <> '{VERSION_TABLE}'
"""


async def test_alembic_finds_no_difference_between_the_migrations_and_the_metadata() -> None:
    """A change of the metadata without a revision (or the other way round) is caught here."""
    async with fresh_database_url() as url:
        assert [] == await _on(url, _differences)


async def test_migrated_and_created_databases_are_described_alike_by_postgres() -> None:
    """Indexes, keys, defaults, identities and comments agree to the letter."""
    async with fresh_database_url() as migrated, fresh_database_url(migrated=False) as created:
        await _on(created, _create_all)
        expected = await _on(created, _describe)
        assert len(expected) > 100
        assert expected == await _on(migrated, _describe)


async def test_files_are_vacuumed_before_the_table_has_grown_by_a_fifth() -> None:
    """Metadata does not tell a table's storage parameters."""
    async with fresh_database_url() as url:
        [(options,)] = await _on(url, _file_options)
        assert "autovacuum_vacuum_scale_factor=0.02" in options


async def test_two_migrations_at_once_make_one_schema() -> None:
    """Replicas that start together wait for each other instead of failing."""
    async with fresh_database_url(migrated=False) as url:
        one, other = Database(url, pool_size=1), Database(url, pool_size=1)
        try:
            await asyncio.gather(migrate(one), migrate(other))
        finally:
            await one.close()
            await other.close()
        assert [(newest_revision(),)] == await _on(url, _revisions)


async def test_a_migration_that_ran_already_changes_nothing() -> None:
    """``migrate`` may run at every start."""
    async with fresh_database_url() as url:
        before = await _on(url, _describe)
        database = Database(url, pool_size=1)
        try:
            await migrate(database)
        finally:
            await database.close()
        assert before == await _on(url, _describe)


async def _on(url: str, work: Any) -> Any:
    database = Database(url, pool_size=1)
    try:
        async with database.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await database.close()


def _differences(connection: Connection) -> list[Any]:
    options = {"include_schemas": True, "include_name": is_ours, "compare_server_default": True, "compare_type": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def _create_all(connection: Connection) -> None:
    for schema in SCHEMAS:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    metadata.create_all(connection)


def _describe(connection: Connection) -> list[str]:
    rows: Iterable[Any] = connection.execute(text(_DESCRIPTION))
    return sorted(str(row[0]) for row in rows)


def _file_options(connection: Connection) -> list[Any]:
    return list(connection.execute(text("SELECT reloptions FROM pg_class WHERE oid = 'ledger.file'::regclass")))


def _revisions(connection: Connection) -> list[tuple[str]]:
    return [(row[0],) for row in connection.execute(text(f"SELECT version_num FROM control.{VERSION_TABLE}"))]
