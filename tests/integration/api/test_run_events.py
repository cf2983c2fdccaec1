"""Following a run over a real connection: what is told when, and what a stop or Postgres' absence does to it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from client.sse import Event
from libs.common.contracts.events import (
    FileBatchCommitted,
    FileBatchFailed,
    Problem,
    RunCompleted,
    ScanProgress,
    ScanStarted,
)
from libs.common.storage.engine import Database
from services.api.http import HttpServer
from tests.integration.api.conftest import SECRET_KEY
from tests.integration.api.harness import INGESTIONS, ApiUnderTest, Story, api_under_test
from tests.support.databases import fresh_database_url
from tests.support.eventually import eventually
from tests.support.own_postgres import own_postgres
from tests.support.sse import events

pytestmark = pytest.mark.asyncio

PROBLEM = Problem(error_type="unparsable_file", message="line 17 is not a JSON object", file="s3://landing/b.json")


@asynccontextmanager
async def served(api: ApiUnderTest) -> AsyncIterator[httpx.AsyncClient]:
    """``api`` behind a socket, because a stream is told only over one; stopped as the service stops it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = HttpServer(api.app, host="127.0.0.1", port=port)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
    finally:
        api.live_runs.request_stop()
        await asyncio.wait_for(server.stop(), 4)


@pytest_asyncio.fixture
async def connection(api: ApiUnderTest) -> AsyncIterator[httpx.AsyncClient]:
    async with served(api) as client:
        yield client


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that the unprivileged user of a Postgres may enter, as he may not pytest's own."""
    with TemporaryDirectory(prefix="autoloader-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Follower:
    """Hears in the background all that is told of a run."""

    def __init__(self, client: httpx.AsyncClient, path: str, after: str | None = None) -> None:
        self.heard: list[Event] = []
        self.listening = asyncio.create_task(self._listen(client, path, after))

    async def _listen(self, client: httpx.AsyncClient, path: str, after: str | None) -> None:
        async for event in events(client, path, after=after):
            self.heard.append(event)

    async def hears(self, name: str, seq: int) -> Event:
        def last() -> Event | None:
            matching = [event for event in self.heard if (event.name, event.id) == (name, str(seq))]
            return matching[-1] if matching else None

        event: Event = await eventually(last, what=f"{name} {seq} is told")
        return event

    async def to_the_end(self) -> list[Event]:
        await asyncio.wait_for(self.listening, 10)
        return self.heard


async def asked(api: ApiUnderTest) -> tuple[Story, str, str]:
    """A run, its story, and where it is shown."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    return Story(ingestion_id, run_id), run_id, f"{INGESTIONS}/{ingestion_id}/runs/{run_id}"


def committed(story: Story) -> Any:
    batch: dict[str, Any] = {"batch_id": UUID(int=1), "files": 1, "records": 10, "size_bytes": 9}
    return story.fact(FileBatchCommitted, grow={"files_done": 1, "records_ingested": 10}, snapshot_id=7, **batch)


async def test_each_fact_is_told_as_it_comes(api: ApiUnderTest, connection: httpx.AsyncClient) -> None:
    """From the request to the end; the end is what GET says."""
    story, _, path = await asked(api)
    follower = Follower(connection, f"{path}/events")
    await follower.hears("progress", 0)
    await api.tell(story.fact(ScanStarted, attempt=1))
    await follower.hears("progress", 1)
    await api.tell(committed(story))
    assert '"records_ingested":10' in (await follower.hears("progress", 2)).data
    await api.tell(story.fact(RunCompleted, outcome="success"))
    last = (await follower.to_the_end())[-1]
    assert ("end", "3") == (last.name, last.id)
    assert (await api.client.get(path)).text == last.data


async def test_what_changes_without_a_new_number_is_told_too(api: ApiUnderTest, connection: httpx.AsyncClient) -> None:
    """That it was cancelled, and problems that come late."""
    story, _, path = await asked(api)
    early, late = (
        story.fact(ScanStarted, attempt=1),
        story.fact(FileBatchFailed, batch_id=UUID(int=1), problems=(PROBLEM,), files_failed=1, files_replanned=0),
    )
    newest = story.fact(ScanProgress)
    await api.tell(early, newest)
    follower = Follower(connection, f"{path}/events")
    await follower.hears("progress", 3)
    await api.tell(late)
    await eventually(lambda: PROBLEM.message in follower.heard[-1].data, what="the late problem is told")
    assert "3" == follower.heard[-1].id


async def test_a_run_that_waits_says_for_what(api: ApiUnderTest, connection: httpx.AsyncClient) -> None:
    """Also when that changes by something that happens to another row."""
    ingestion_id = (await api.create())["id"]
    first, second = [await api.request_run(ingestion_id) for _ in range(2)]
    follower = Follower(connection, f"{INGESTIONS}/{ingestion_id}/runs/{second}/events")
    assert "another run of this ingestion is active" in (await follower.hears("progress", 0)).data
    await api.client.post(f"{INGESTIONS}/{ingestion_id}/pause")
    await eventually(lambda: "the ingestion is paused" in follower.heard[-1].data)
    await api.client.post(f"{INGESTIONS}/{ingestion_id}/resume")
    await api.end(ingestion_id, first)
    await eventually(lambda: '"queued":false' in follower.heard[-1].data)
    await api.end(ingestion_id, second)
    assert "end" == (await follower.to_the_end())[-1].name


async def test_who_comes_back_is_told_what_is_newer(api: ApiUnderTest, connection: httpx.AsyncClient) -> None:
    """And nothing, for good, once the end is known."""
    story, _, path = await asked(api)
    await api.tell(story.fact(ScanStarted, attempt=1), committed(story))
    follower = Follower(connection, f"{path}/events", after="2")
    await api.tell(story.fact(RunCompleted, outcome="success"))
    assert [("end", "3")] == [(event.name, event.id) for event in await follower.to_the_end()]
    again = await connection.get(f"{path}/events", headers={"Last-Event-ID": "3"})
    assert (204, b"") == (again.status_code, again.content)
    assert [("end", "3")] == [(e.name, e.id) async for e in events(connection, f"{path}/events", after="2")]
    assert 422 == (await connection.get(f"{path}/events", headers={"Last-Event-ID": "x"})).status_code


async def test_the_answer_is_a_stream_that_nobody_may_keep(api: ApiUnderTest) -> None:
    """Neither a cache nor a buffering proxy."""
    story, _, path = await asked(api)
    await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, outcome="success"))
    answer = await api.client.get(f"{path}/events")
    assert "text/event-stream; charset=utf-8" == answer.headers["Content-Type"]
    assert ("no-store", "no") == (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"])
    assert answer.headers["X-Request-ID"]


async def test_nobody_follows_what_is_not_theirs(api: ApiUnderTest, neighbour: ApiUnderTest) -> None:
    """It is unknown, like a run that never was."""
    _, run_id, path = await asked(api)
    assert 404 == (await neighbour.client.get(f"{path}/events")).status_code
    unknown = await api.client.get(f"{path.removesuffix(run_id)}{UUID(int=7)}/events")
    assert (404, "unknown_run") == (unknown.status_code, unknown.json()["code"])


async def test_there_is_room_for_so_many(api: ApiUnderTest, connection: httpx.AsyncClient) -> None:
    """One more is told to ask from time to time; a client that leaves makes room."""
    _, _, path = await asked(api)
    followers = [Follower(connection, f"{path}/events") for _ in range(3)]
    for follower in followers:
        await follower.hears("progress", 0)
    refused = await connection.get(f"{path}/events")
    assert (503, "too_many_listeners") == (refused.status_code, refused.json()["code"])
    assert int(refused.headers["Retry-After"]) > 0
    assert path in refused.json()["hint"]
    followers[0].listening.cancel()

    async def is_admitted() -> bool:
        async with connection.stream("GET", f"{path}/events") as response:
            return response.is_success

    await eventually(is_admitted, what="the place of the one that left is free")
    for follower in followers[1:]:
        follower.listening.cancel()


async def test_a_stop_ends_streams_at_once(api: ApiUnderTest) -> None:
    """As a whole answer, not as a broken one; ``served`` fails if the server has to wait."""
    _, _, path = await asked(api)
    async with served(api) as client:
        follower = Follower(client, f"{path}/events")
        await follower.hears("progress", 0)
        api.live_runs.request_stop()
        assert ["progress"] == [event.name for event in await follower.to_the_end()]


async def test_a_stream_outlives_a_restart_of_postgres(open_folder: Path) -> None:
    """Nothing is told while it is away; what happened meanwhile is told afterwards."""
    async with own_postgres(open_folder) as postgres, fresh_database_url(server=postgres.url) as url:
        database = Database(url)
        async with api_under_test(database, SECRET_KEY, tenant_id="t") as api, served(api) as client:
            story, _, path = await asked(api)
            follower = Follower(client, f"{path}/events")
            await follower.hears("progress", 0)
            await postgres.stop()
            assert 503 == (await client.get(f"{path}/events")).status_code
            await postgres.start()
            await api.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, outcome="success"))
            assert ("end", "2") == ((await follower.to_the_end())[-1].name, follower.heard[-1].id)
        await database.close()
