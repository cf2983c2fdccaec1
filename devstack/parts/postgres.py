"""Postgres: the services' store, and the database of the Iceberg catalogs."""

import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped, unused-ignore]

from devstack.commands import Say, run
from devstack.environment import base_environment
from devstack.errors import DevstackError
from devstack.fetch.postgres import fetch_postgres
from devstack.health import HOST, postgres_answers
from devstack.part import Launch, Part, Port
from devstack.pins import pins
from devstack.places import DEPLOY
from devstack.predecessor import wait_for_predecessor
from devstack.settings import CATALOG_DATABASE, DATABASE, POSTGRES_PASSWORD, POSTGRES_USER, PREFIX, DevSettings
from devstack.users import User, first_closed_folder, unprivileged_user

CATALOG_TABLES = DEPLOY / "catalog_tables.sql"
SERVER_SETTINGS = {
    "max_connections": "300",  # every Spark session holds a catalog connection until the JVM collects it
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "log_min_duration_statement": "1000",  # ms
    "log_line_prefix": "%m [%p] %d ",
    "unix_socket_directories": "",  # TCP only: Spark's catalog needs it anyway, and a socket would need one more folder
    "timezone": "UTC",
    "log_timezone": "UTC",
    # fsync stays on: people kill this machine's processes on purpose to see what survives.
}


def postgres(settings: DevSettings) -> Part:
    """The part."""
    data = settings.state / "postgres" / "data"
    owner = unprivileged_user(settings.postgres_user)

    async def fetch(say: Say) -> None:
        await fetch_postgres(settings.cache, say)

    async def prepare(say: Say) -> None:
        binaries = await fetch_postgres(settings.cache, say)
        if (data / "PG_VERSION").exists():
            await wait_for_predecessor(data)
            return
        say("making an empty database")
        await initialise(binaries, settings.folder("postgres"), data, owner)

    async def launch() -> Launch:
        binaries = await fetch_postgres(settings.cache, lambda _: None)
        flags = [f"--{name}={value}" for name, value in SERVER_SETTINGS.items()]
        command: tuple[str | Path, ...] = (
            binaries / "postgres",
            "-D",
            data,
            f"--port={settings.postgres_port}",
            f"--listen_addresses={HOST}",
            *flags,
        )
        return Launch(command, base_environment(), data, owner)

    async def finish(say: Say) -> None:
        await create_databases(settings.postgres_port, say)

    return Part(
        name="postgres",
        version=str(pins().postgres_major),
        ports=(Port(settings.postgres_port, f"{PREFIX}POSTGRES_PORT"),),
        fetch=fetch,
        prepare=prepare,
        launch=launch,
        check=lambda: postgres_answers(settings.postgres_port, POSTGRES_USER, POSTGRES_PASSWORD),
        finish=finish,
        stop_signal=signal.SIGINT,  # "fast": TERM would wait until every client has left
        start_deadline_s=60,
    )


async def initialise(binaries: Path, home: Path, data: Path, owner: User | None) -> None:
    """Make the data folder, under another name until it is complete.

    An interrupted one must not look like a database.
    """
    if owner and (closed := first_closed_folder(home, owner) or first_closed_folder(binaries, owner)):
        raise DevstackError(
            f"Postgres runs as {owner.name}, who cannot enter {closed}: choose other folders with "
            f"{PREFIX}STATE_DIR and AUTOLOADER_CACHE_DIR, or open this one (chmod o+x {closed})"
        )
    half_made = home / "data.new"
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(mode=0o700)
    password = home / "password"
    password.write_text(POSTGRES_PASSWORD)
    if owner:
        owner.give(half_made)
        owner.give(password)
    try:
        await run(
            "making the Postgres database",
            [binaries / "initdb", "-D", half_made, f"--username={POSTGRES_USER}", f"--pwfile={password}",
             "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
             "--locale=C"],
            environment=base_environment(),
            directory=half_made,
            user=owner,
        )  # fmt: skip
    finally:
        password.unlink()
    half_made.rename(data)


async def create_databases(port: int, say: Say) -> None:
    """The two databases that everybody expects, and the tables of the catalogs."""
    async with _connected(port, "postgres") as connection:
        present = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
        for name in (DATABASE, CATALOG_DATABASE):
            if name not in present:
                await connection.execute(f'CREATE DATABASE "{name}"')
                say(f"database {name} created")
    async with _connected(port, CATALOG_DATABASE) as connection:
        await connection.execute(CATALOG_TABLES.read_text())


@asynccontextmanager
async def _connected(port: int, database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(
        host=HOST, port=port, user=POSTGRES_USER, password=POSTGRES_PASSWORD, database=database, ssl=False
    )
    try:
        yield connection
    finally:
        await connection.close()
