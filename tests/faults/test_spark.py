"""Spark Connect cut, hanging and killed, and its catalog's answers lost (F26–F28, F30): the read-back decides."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.faults.landing import Landing, landing
from tests.faults.tally import Faults
from tests.support.databases import server_url
from tests.support.eventually import eventually
from tests.support.installation import Installation, ServiceProcess, installation
from tests.support.proxy import CutOn, Freeze, Healthy, TcpProxy, tcp_proxy
from tests.support.spark_server import CATALOG_COMMIT, PUBLISH, PUBLISHED, STAGE, SparkServer, spark_server

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

CALL_TIMEOUT_S = 30
STRUCK_S = 180.0  # a server that was just started is slow at first


@dataclass
class World:
    """A Spark server behind one proxy, and its way to its catalog behind another."""

    autoloader: Installation
    executor: ServiceProcess
    server: SparkServer
    connect: TcpProxy
    catalog: TcpProxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    where = urlsplit(server_url())
    assert where.hostname is not None
    async with (
        tcp_proxy(where.hostname, where.port or 5432) as catalog,
        spark_server(catalog_port=catalog.port) as server,
        tcp_proxy("127.0.0.1", server.port) as connect,
        installation(
            settings={
                "AUTOLOADER_CLUSTERS": json.dumps({"local": f"sc://{connect.address}"}),
                "AUTOLOADER_SPARK_CALL_TIMEOUT_S": str(CALL_TIMEOUT_S),
            }
        ) as autoloader,
    ):
        _, executor = await asyncio.gather(autoloader.start("scanner"), autoloader.start("executor"))
        yield World(autoloader, executor, server, connect, catalog)


@pytest_asyncio.fixture(loop_scope="module")
async def files(world: World, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    async with landing(world.autoloader, spark, faults) as place:
        for file in range(2):
            await place.put_rows(f"{file}.json", file * 50, 50)
        yield place
        world.connect.fault = world.catalog.fault = Healthy()


async def check(files: Landing, run_id: str) -> None:
    run = await files.end_of(run_id)
    assert "success" == run["status"], files.story_of(run)
    assert (2, 100) == (run["metrics"]["files_processed"], run["metrics"]["records_ingested"])
    await files.check()


def case(value: object, number: str, words: str, *, quick: bool = False) -> Any:
    """One fault as a case of its own."""
    return pytest.param(value, marks=pytest.mark.fault(number, words, quick=quick), id=words)


@pytest.mark.parametrize(
    "fault",
    [
        case(CutOn(STAGE, when="before"), "F27", "Spark is cut off before the stage"),
        case(CutOn(STAGE, when="sent"), "F27", "Spark is cut off in mid-stage, before its first answer"),
        case(CutOn(PUBLISH, when="before"), "F26", "Spark is cut off before the publish"),
        case(CutOn(PUBLISH, when="sent"), "F27", "Spark is cut off in mid-publish, before its first answer"),
        case(
            CutOn(PUBLISH, when="answered", answer=PUBLISHED),
            "F26",
            "Spark is cut off after the publish, before its answer",
            quick=True,
        ),
    ],
)
async def test_a_connection_to_spark_is_cut(world: World, files: Landing, fault: CutOn) -> None:
    """Wherever it is cut, the batch is in the table once (F26, F27)."""
    world.connect.fault = fault
    already = world.connect.struck
    run_id = await files.begin()
    await eventually(lambda: world.connect.struck > already, STRUCK_S, what="the connection is cut")
    files.faults.inject()
    await check(files, run_id)


@pytest.mark.parametrize(
    "nth",
    [
        case(1, "F30", "the catalog's answer to the table's making is lost"),
        case(2, "F30", "the catalog's answer to the stage is lost"),
        case(3, "F30", "the catalog's answer to the publish is lost"),
    ],
)
async def test_the_catalogs_answer_is_lost_after_its_commit(world: World, files: Landing, nth: int) -> None:
    """Spark does not know whether it has committed, and may even say no; the table knows (F30)."""
    world.catalog.fault = CutOn(CATALOG_COMMIT, when="answered", nth=nth)
    already = world.catalog.struck
    run_id = await files.begin()
    await eventually(lambda: world.catalog.struck > already, STRUCK_S, what="the catalog is cut")
    files.faults.inject()
    await check(files, run_id)


@pytest.mark.fault("F30", "all connections to the catalog are cut")
async def test_the_catalogs_database_cuts_everybody_off(world: World, files: Landing) -> None:
    """As when it is restarted, in the middle of a run (F30)."""
    run_id = await files.begin(max_files_per_trigger=1)
    files.faults.inject(await eventually(world.catalog.cut, STRUCK_S, what="there is a connection to cut"))
    await check(files, run_id)


@pytest.mark.fault("F28", "a call to Spark hangs")
async def test_a_call_that_hangs_is_given_up(world: World, files: Landing) -> None:
    """Our own deadline ends it, and the next attempt has a session of its own (F28)."""
    world.connect.fault = CutOn(STAGE, when="before")
    already = world.connect.struck
    run_id = await files.begin()
    await eventually(lambda: world.connect.struck > already, STRUCK_S, what="the batch is on its way")
    files.faults.inject()
    world.connect.fault = Freeze()
    retries = sum('"batch.retry"' in line for line in world.executor.log)
    await eventually(
        lambda: sum('"batch.retry"' in line for line in world.executor.log) > retries,
        CALL_TIMEOUT_S * 4,
        what="the executor's deadline fires",
    )
    world.connect.fault = Healthy()
    await check(files, run_id)


@pytest.mark.parametrize(
    "asked",
    [
        case(STAGE, "F26", "Spark is killed in mid-stage and restarted"),
        case(PUBLISH, "F26", "Spark is killed in mid-publish and restarted"),
    ],
)
async def test_spark_is_killed_and_comes_back(world: World, files: Landing, asked: bytes) -> None:
    """A server that knows no session of before: staged anew or read back, and never twice (F26)."""
    world.connect.fault = CutOn(asked, when="sent")
    already = world.connect.struck
    run_id = await files.begin()
    await eventually(lambda: world.connect.struck > already, STRUCK_S, what="the call is on its way")
    files.faults.inject()
    await world.server.kill()
    await world.server.start()
    # What four attempts in a row could not bring is left to the next run, and said.
    run = await files.end_of(run_id)
    if run["status"] != "success":
        assert {"spark_unreachable", "spark_failed"} >= {e["error_type"] for e in run["errors"]}, files.story_of(run)
        await files.run("success")
    await files.check()
