"""Everything that a soak runs on: four ingestions, four executors, two scanners and two APIs, each way behind a proxy
of our own, a broker and a Spark server that may be killed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.faults.cases import bucket
from tests.faults.landing import MINIO
from tests.soak.api import Api
from tests.soak.fleet import Fleet, Member
from tests.soak.source import DATABASE, Source
from tests.support.databases import server_url
from tests.support.installation import Installation, free_port, installation
from tests.support.landing import spark_session
from tests.support.own_broker import OwnBroker, own_broker
from tests.support.proxy import TcpProxy, tcp_proxy
from tests.support.s3_proxy import S3Proxy, s3_proxy
from tests.support.spark_server import SparkServer, spark_server

FILES_PER_BATCH = (5, 10, 20, 50)
"""One ingestion each."""
MEMBERS = (("api", 1), ("scanner", 2), ("executor", 4))
"""Besides the API that the installation comes with."""
SPARK_CALL_TIMEOUT_S = 30
UNRULY = {kind: f"tests.faults.unruly.{kind}" for kind in ("api", "scanner", "executor")}


@dataclass
class World:
    """``spark`` is a session on the local stack's server, where nothing breaks: for a foreign writer and the oracle."""

    autoloader: Installation
    api: Api
    fleet: Fleet
    sources: list[Source]
    spark: Any
    postgres: TcpProxy
    catalog: TcpProxy
    connect: TcpProxy
    store: S3Proxy
    server: SparkServer
    broker: OwnBroker
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """What should not have happened, besides what is wrong with a table."""

    def only_one(self, at: str) -> asyncio.Lock:
        """A proxy has one fault at a time."""
        return self.locks.setdefault(at, asyncio.Lock())

    async def sql(self, statement: str) -> list[Any]:
        return await asyncio.to_thread(lambda: list(self.spark.sql(statement).collect()))


@asynccontextmanager
async def world(*, seed: int, negative: bool, struck: Any) -> AsyncIterator[World]:
    """Started, with its ingestions and without any file; gone at the end, with its tables and files.

    ``negative``: the executors publish by a plain append. ``struck`` is called with the words of each fault that a
    process met at a failpoint.
    """
    async with AsyncExitStack() as stack:
        where, store_at = urlsplit(server_url()), urlsplit(MINIO)
        host, port = where.hostname or "localhost", where.port or 5432
        postgres = await stack.enter_async_context(tcp_proxy(host, port))
        catalog = await stack.enter_async_context(tcp_proxy(host, port))
        store = await stack.enter_async_context(
            s3_proxy(store_at.hostname or "localhost", store_at.port or 9000, seed=seed)
        )
        server, broker = await asyncio.gather(
            stack.enter_async_context(spark_server(catalog_port=catalog.port)), stack.enter_async_context(own_broker())
        )
        connect = await stack.enter_async_context(tcp_proxy("127.0.0.1", server.port))
        autoloader = await stack.enter_async_context(
            installation(
                postgres_at=postgres.address,
                kafka=broker.bootstrap,
                modules={**UNRULY, **({"executor": "tests.faults.negative"} if negative else {})},
                settings={
                    "UNRULY": "drop:0",  # no message is lost unless a fault wants it
                    "AUTOLOADER_CLUSTERS": json.dumps({"local": f"sc://{connect.address}"}),
                    "AUTOLOADER_SPARK_CALL_TIMEOUT_S": str(SPARK_CALL_TIMEOUT_S),
                    "AUTOLOADER_REFRESH_WAIT_S": "1",
                    "AUTOLOADER_BATCHES_AT_ONCE": "1",  # four at once are enough for a small machine
                },
            )
        )
        fleet = Fleet(autoloader, struck)
        stack.push_async_callback(fleet.end)
        api = Api([autoloader.client, *await _man(fleet, stack)])
        await fleet.begin()
        made = World(
            autoloader, api, fleet, [], await asyncio.to_thread(spark_session), postgres, catalog, connect, store,
            server, broker,
        )  # fmt: skip
        stack.push_async_callback(asyncio.to_thread, made.spark.stop)
        s3 = await asyncio.to_thread(bucket)
        for number, files in enumerate(FILES_PER_BATCH):
            name = f"soak_{autoloader.environment['DATABASE_URL'][-8:]}_{number}"
            source = Source(api, s3, name, Random(seed * 100 + number), files)
            made.sources.append(source)
            stack.push_async_callback(_clean, made, source)
            await source.create(store.url)
        yield made


async def _man(fleet: Fleet, stack: AsyncExitStack) -> list[httpx.AsyncClient]:
    """Names the members; returns clients of the APIs that are to be started."""
    first = fleet.autoloader.running[0]
    its_port = {"AUTOLOADER_API_PORT": fleet.autoloader.environment["AUTOLOADER_API_PORT"]}
    fleet.members.append(Member("api-1", "api", its_port, first, time.monotonic()))
    clients = []
    for kind, count in MEMBERS:
        for number in range(count):
            settings = {}
            if kind == "api":
                port = free_port()
                settings["AUTOLOADER_API_PORT"] = str(port)
                client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15, trust_env=False)
                clients.append(await stack.enter_async_context(client))
            fleet.members.append(Member(f"{kind}-{number + 1 + (kind == 'api')}", kind, settings))
    return clients


async def _clean(world: World, source: Source) -> None:
    for row in await world.sql(f"SHOW TABLES IN test_catalog.{DATABASE} LIKE '{source.name}*'"):
        await world.sql(f"DROP TABLE IF EXISTS test_catalog.{DATABASE}.{row['tableName']} PURGE")
    await asyncio.to_thread(source.clean)
