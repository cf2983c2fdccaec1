"""What is said, and what is kept, while a part that the services need is away: on services of these stories' own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from tests.support.databases import server_url
from tests.support.eventually import eventually
from tests.support.installation import Installation, installation
from tests.support.landing import FINAL, Landing, s3_client, spark_session
from tests.support.proxy import Healthy, Refuse, TcpProxy, tcp_proxy

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.requires_spark,
    pytest.mark.requires_minio,
    pytest.mark.asyncio(loop_scope="module"),
]

NOWHERE = "127.0.0.1:1"  # nothing listens there
BACK_S = 120.0
IDS = list(range(20))


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    session = spark_session()
    yield session
    session.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres() -> AsyncIterator[TcpProxy]:
    """What the services reach Postgres through."""
    where = urlsplit(server_url())
    async with tcp_proxy(where.hostname or "localhost", where.port or 5432) as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader(postgres: TcpProxy) -> AsyncIterator[Installation]:
    # An executor's word is waited for as long as it takes: who is not to wait asks an API of its own.
    settings = {"AUTOLOADER_REFRESH_WAIT_S": "60"}
    async with installation(postgres_at=postgres.address, settings=settings) as started:
        started.client.timeout = httpx.Timeout(90)
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def landing(autoloader: Installation, postgres: TcpProxy, spark: Any) -> AsyncIterator[Landing]:
    """A folder of two files, which are not loaded yet, with a scanner and an executor."""
    await asyncio.gather(autoloader.start("scanner"), autoloader.start("executor"))
    async with Landing(autoloader, s3_client(), spark) as landing:
        await landing.put("0.json", IDS[:10])
        await landing.put("1.json", IDS[10:])
        yield landing
        postgres.fault = Healthy()
        await autoloader.stop_all_but_the_api()


async def without_executors(autoloader: Installation) -> None:
    await asyncio.gather(*(service.stop() for service in autoloader.running if service.name == "executor"))


async def loads(landing: Landing) -> None:
    """A run succeeds."""
    run = await landing.run()
    assert run["status"] == "success", (run, landing.autoloader.complaints())


async def loads_in_the_end(landing: Landing, run_id: str) -> None:
    """The run succeeds, and each row is there once."""

    async def is_over() -> bool:
        return (await landing.autoloader.run_of(landing.ingestion_id, run_id))["status"] in FINAL

    await eventually(is_over, BACK_S, what="the run ends")
    run = await landing.autoloader.run_of(landing.ingestion_id, run_id)
    assert run["status"] == "success", (run, landing.autoloader.complaints())
    assert await landing.ids() == IDS


async def refreshed_in_the_end(landing: Landing, refresh_id: str) -> None:
    """Every operation succeeds, and its run loads each row once."""
    path = f"/api/v1/ingestions/{landing.ingestion_id}/refresh/{refresh_id}"

    async def done() -> dict[str, Any] | None:
        told: dict[str, Any] = (await landing.autoloader.client.get(path)).json()
        return told if states(told) == ["success"] * 3 else None

    told = await eventually(done, BACK_S, what="the refresh is done")
    assert told["status"] == "accepted"
    await loads_in_the_end(landing, told["run_id"])


def states(refresh: dict[str, Any]) -> list[str]:
    return [operation["status"] for operation in refresh["operations"]]


def parts(readiness: httpx.Response) -> dict[str, str]:
    return {name: check["status"] for name, check in readiness.json()["checks"].items()}


class TestStores:
    """Postgres decides, Kafka only wakes: without the one nothing is taken, without the other everything is."""

    async def test_without_postgres_requests_are_answered_503_and_may_be_repeated(
        self, landing: Landing, postgres: TcpProxy
    ) -> None:
        """Postgres is away when a run is asked for, and comes back.

        Success criteria:
        - reading and asking are 503, with the seconds after which to ask again; readiness names Postgres alone
        - the process itself is alive
        - afterwards it is ready by itself; the repeated request makes the one run there is, which loads everything
        """
        client, path = landing.autoloader.client, f"/api/v1/ingestions/{landing.ingestion_id}"
        key = {"Idempotency-Key": landing.name}
        postgres.fault = Refuse()
        postgres.cut()

        for answer in (await client.get(path), await client.post(f"{path}/run", headers=key)):
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), answer.text
            assert int(answer.headers["Retry-After"]) > 0
        ready = await client.get("/health/ready")
        assert (ready.status_code, parts(ready)) == (503, {"postgres": "unavailable", "kafka": "ok"})
        assert int(ready.headers["Retry-After"]) > 0
        assert (await client.get("/health/live")).status_code == 200

        postgres.fault = Healthy()

        async def is_ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        await eventually(is_ready, BACK_S, what="the API is ready again")
        accepted = await client.post(f"{path}/run", headers=key)
        assert accepted.status_code == 202, accepted.text
        await loads_in_the_end(landing, accepted.json()["run_id"])
        assert len((await client.get(f"{path}/runs")).json()) == 1

    async def test_without_kafka_requests_are_kept(self, landing: Landing) -> None:
        """One API has no Kafka.

        Success criteria:
        - it is not ready, and names Kafka alone
        - it takes a run all the same, which another process announces
        """
        async with landing.autoloader.another_api(AUTOLOADER_KAFKA_BOOTSTRAP=NOWHERE) as cut_off:
            ready = await cut_off.get("/health/ready")
            assert (ready.status_code, parts(ready)) == (503, {"postgres": "ok", "kafka": "unavailable"})
            assert int(ready.headers["Retry-After"]) > 0

            accepted = await cut_off.post(f"/api/v1/ingestions/{landing.ingestion_id}/run")
            assert accepted.status_code == 202, accepted.text
            await loads_in_the_end(landing, accepted.json()["run_id"])


class TestRefresh:
    """The answer to a refresh is what an executor said: nothing yet, or that it cannot."""

    async def test_a_refresh_is_pending_as_long_as_no_executor_has_said_anything(self, landing: Landing) -> None:
        """No executor is alive.

        Success criteria:
        - the answer comes in time, and every operation in it is pending; the table is as it was
        - an executor that starts later does it all
        """
        await loads(landing)
        await without_executors(landing.autoloader)
        path = f"/api/v1/ingestions/{landing.ingestion_id}/refresh"
        async with landing.autoloader.another_api(AUTOLOADER_REFRESH_WAIT_S="0.5") as hasty:
            answer = await hasty.post(f"{path}/full", json={"confirm": True})
        told = answer.json()
        assert (answer.status_code, told["status"], told["run_id"]) == (202, "accepted", None)
        assert states(told) == ["pending"] * 3
        assert states((await landing.autoloader.client.get(f"{path}/{told['refresh_id']}")).json()) == ["pending"] * 3
        assert await landing.ids() == IDS

        await landing.autoloader.start("executor")
        await refreshed_in_the_end(landing, told["refresh_id"])

    async def test_a_refresh_that_cannot_be_done_changes_nothing_and_says_why(self, landing: Landing) -> None:
        """The executor does not reach Spark.

        Success criteria:
        - the answer is a partial failure: the first operation has failed, with a reason and a remedy; the others are
          skipped, and the table is as it was
        - once Spark is there, a second refresh does it all
        """
        await loads(landing)
        await without_executors(landing.autoloader)
        cut_off = await landing.autoloader.start("executor", AUTOLOADER_CLUSTERS=f'{{"local": "sc://{NOWHERE}"}}')
        client, path = landing.autoloader.client, f"/api/v1/ingestions/{landing.ingestion_id}/refresh"

        answer = await client.post(f"{path}/full", json={"confirm": True})

        told = answer.json()
        assert (answer.status_code, told["status"], told["run_id"]) == (202, "partial_failure", None), told
        assert states(told) == ["failed", "skipped", "skipped"]
        failed = told["operations"][0]
        assert failed["error_code"] == "spark_unreachable"
        assert failed["error"]
        assert failed["details"]
        assert await landing.ids() == IDS

        await cut_off.stop()
        await landing.autoloader.start("executor")
        again = await client.post(f"{path}/full", json={"confirm": True})
        assert again.status_code == 202, again.text
        await refreshed_in_the_end(landing, again.json()["refresh_id"])
