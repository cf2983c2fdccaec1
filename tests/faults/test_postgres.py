"""Postgres cut, away and back (F36): what was begun is done again, and nobody is told what is not so."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from tests.faults.landing import Landing, landing
from tests.faults.tally import Faults
from tests.support.databases import server_url
from tests.support.eventually import eventually
from tests.support.installation import Installation, installation
from tests.support.proxy import CutOn, Freeze, Healthy, Refuse, TcpProxy, tcp_proxy

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

BACK_S = 60.0


@dataclass
class World:
    """An installation whose services reach Postgres through the proxy."""

    autoloader: Installation
    postgres: TcpProxy

    async def one_more_cut(self, fault: CutOn) -> None:
        """Returns when the fault has struck."""
        already = self.postgres.struck
        self.postgres.fault = fault
        await eventually(lambda: self.postgres.struck > already, BACK_S, what="a connection is cut")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    where = urlsplit(server_url())
    assert where.hostname is not None
    async with (
        tcp_proxy(where.hostname, where.port or 5432) as postgres,
        installation(postgres_at=postgres.address) as autoloader,
    ):
        await asyncio.gather(autoloader.start("scanner"), autoloader.start("executor"))
        yield World(autoloader, postgres)


@pytest_asyncio.fixture(loop_scope="module")
async def files(world: World, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    async with landing(world.autoloader, spark, faults) as place:
        for file in range(4):
            await place.put_rows(f"{file}.json", file * 50, 50)
        yield place
        world.postgres.fault = Healthy()


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("before", marks=pytest.mark.fault("F36", "connections cut before COMMIT, ten times")),
        pytest.param("answered", marks=pytest.mark.fault("F36", "connections cut after COMMIT, ten times")),
    ],
)
async def test_connections_cut_on_commit_all_through_a_run(world: World, files: Landing, when: Any) -> None:
    """Every third COMMIT of all services is cut, before it took effect or after it; the run ends by itself."""
    run_id = await files.begin(max_files_per_trigger=1)
    for _ in range(10):
        await world.one_more_cut(CutOn(b"COMMIT", when=when, nth=3))
        files.faults.inject()
    run = await files.end_of(run_id)
    assert "success" == run["status"], files.story_of(run)
    assert (4, 200) == (run["metrics"]["files_processed"], run["metrics"]["records_ingested"])
    await files.check()


@pytest.mark.fault("F36", "the COMMIT of a request is cut, and the request repeated")
async def test_a_request_whose_commit_was_cut_is_answered_503_and_may_be_sent_again(
    world: World, files: Landing
) -> None:
    """With one Idempotency-Key the answer is the run that the first attempt made, although nobody heard of it."""
    await files.create()
    path = f"/api/v1/ingestions/{files.ingestion_id}/run"

    async def asked(attempt: int) -> httpx.Response:
        return await world.autoloader.client.post(path, headers={"Idempotency-Key": f"{files.name}-{attempt}"})

    # Other services commit as well: cut until it was a request that met one.
    for attempt in range(30):
        world.postgres.fault = CutOn(b"COMMIT", when="answered")
        refused = await asked(attempt)
        if refused.status_code == 503:
            files.faults.inject()
            break
    world.postgres.fault = Healthy()
    assert (503, "database_unavailable") == (refused.status_code, refused.json()["code"])
    assert int(refused.headers["Retry-After"]) > 0

    async def accepted() -> httpx.Response | None:
        answer = await asked(attempt)
        return answer if answer.is_success else None

    answers = [await eventually(accepted, BACK_S, what="the request is accepted") for _ in range(2)]
    assert 1 == len({answer.json()["run_id"] for answer in answers})
    run = await files.end_of(answers[0].json()["run_id"])
    assert "success" == run["status"], files.story_of(run)
    await files.check()


@pytest.mark.fault("F36", "Postgres goes away and comes back", quick=True)
async def test_postgres_is_away_in_the_middle_of_a_run_and_comes_back(world: World, files: Landing) -> None:
    """Meanwhile the API says 503 with Retry-After, and that it is not ready; afterwards the run ends by itself."""
    client = world.autoloader.client
    run_id = await files.begin(max_files_per_trigger=1)
    world.postgres.fault = Refuse()
    files.faults.inject(world.postgres.cut())

    answer = await client.get(f"/api/v1/ingestions/{files.ingestion_id}")
    assert (503, "database_unavailable") == (answer.status_code, answer.json()["code"])
    assert int(answer.headers["Retry-After"]) > 0
    assert not await is_ready(client)
    assert 200 == (await client.get("/health/live")).status_code

    world.postgres.fault = Healthy()
    await eventually(lambda: is_ready(client), BACK_S, what="the API is ready again")
    run = await files.end_of(run_id)
    assert "success" == run["status"], files.story_of(run)
    await files.check()


@pytest.mark.fault("F36", "Postgres freezes, and pools run empty")
async def test_postgres_that_accepts_and_says_nothing(world: World, files: Landing) -> None:
    """The pool of every service runs empty on it: the API answers all the same, and all of them recover."""
    client = world.autoloader.client
    run_id = await files.begin(max_files_per_trigger=1)
    world.postgres.fault = Freeze()
    files.faults.inject()
    answers = await asyncio.gather(
        *(client.get(f"/api/v1/ingestions/{files.ingestion_id}", timeout=60) for _ in range(15))
    )
    assert {503} == {answer.status_code for answer in answers}
    assert not await is_ready(client)

    world.postgres.fault = Healthy()
    await eventually(lambda: is_ready(client), BACK_S, what="the API is ready again")
    run = await files.end_of(run_id)
    assert "success" == run["status"], files.story_of(run)
    await files.check()
