"""One API put together for a test: real database, real routes, a relay that only notes that it was poked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from libs.common.contracts.asyncapi import asyncapi
from libs.common.contracts.codec import Envelope, decode
from libs.common.contracts.definition import Credentials
from libs.common.contracts.events import Message, RunCompleted, RunFact, RunRequested, ScanStarted, Totals
from libs.common.ids import EventId, TenantId
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.ledger.tables import file
from libs.common.secrets import SecretBox
from libs.common.storage.control import outbox, secret
from libs.common.storage.definitions import open_credentials
from libs.common.storage.engine import Database
from libs.common.storage.outbox import Outbox
from services.api.caller import Caller
from services.api.clusters.handlers import ConnectionTests
from services.api.clusters.registry import Clusters
from services.api.completeness.expectations import Expectations
from services.api.completeness.handlers import Completeness
from services.api.completeness.watcher import Watcher
from services.api.costs.handlers import Costs
from services.api.costs.model import Prices, Speed
from services.api.files.handlers import Files
from services.api.health.checks import Check
from services.api.http import build_http
from services.api.ingestions.handlers import Ingestions
from services.api.notifications.handlers import Deliveries
from services.api.notifications.secrets import SharedSecrets
from services.api.plans.handlers import Plans
from services.api.preview.bounds import Bounds
from services.api.preview.handlers import Previews
from services.api.quarantine.handlers import Quarantine
from services.api.reconciliations.handlers import Reconciliations
from services.api.refresh.deletion import Deletions
from services.api.refresh.handlers import Refreshes
from services.api.refresh.impact import Impacts
from services.api.refresh.projector import RefreshProjector
from services.api.refresh.reminder import RefreshReminder
from services.api.refresh.word import ExecutorsWord
from services.api.runs.handlers import Runs
from services.api.runs.live import LiveRuns
from services.api.runs.projector import Projector
from services.api.runs.requests import RunRequests
from services.api.runs.sweeper import Sweeper
from services.api.schedules.handlers import Schedules
from services.api.table_schema.handlers import Schemas
from services.api.triggers.ticker import Ticker
from services.api.webhooks.handlers import Webhooks
from tests.support.memory_objects import MemoryObjects

INGESTIONS = "/api/v1/ingestions"
NOTIFICATION_SECRETS = ("the-one-that-is-new", "the-one-that-was-before")
KEPT_FOR = timedelta(days=7)
START = datetime(2025, 1, 7, 12, 34, 56, tzinfo=UTC)
CREDENTIALS = {"aws_access_key_id": "AKIA-id", "aws_secret_access_key": "topsecret", "region": "eu-central-1"}


def definition(**changes: Any) -> dict[str, Any]:
    """A body that POST accepts."""
    return {
        "name": "Flights",
        "cluster_id": "local",
        "source": {"path": "s3://landing/flights/", "file_pattern": "*.json"},
        "destination": {"catalog": "lake", "database": "demo", "table": "flights"},
        **changes,
    }


WITH_CREDENTIALS: dict[str, Any] = {"source": {**definition()["source"], "credentials": CREDENTIALS}}
"""What to change in ``definition()`` for a source that needs them."""


@dataclass
class NotedRelay:
    """Counts pokes; ``problem`` is what the test wants it to be."""

    problem: str | None = None
    pokes: int = 0

    def poke(self) -> None:
        self.pokes += 1


@dataclass
class ApiUnderTest:
    """The parts of one API, and short words for what tests do with it."""

    tenant_id: str
    database: Database
    box: SecretBox
    app: FastAPI
    client: httpx.AsyncClient
    live_runs: LiveRuns
    relay: NotedRelay
    run_requests: RunRequests
    ticker: Ticker
    projector: Projector
    sweeper: Sweeper
    refreshes: RefreshProjector
    reminder: RefreshReminder
    watcher: Watcher
    expectations: Expectations
    objects: MemoryObjects
    checks: dict[str, Check] = field(default_factory=dict)

    async def create(self, **changes: Any) -> dict[str, Any]:
        answer = await self.client.post(INGESTIONS, json=definition(**changes))
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def request_run(self, ingestion_id: str) -> str:
        answer = await self.client.post(f"{INGESTIONS}/{ingestion_id}/run")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["run_id"])

    async def run(self, ingestion_id: str, run_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"{INGESTIONS}/{ingestion_id}/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def tell(self, *facts: Message) -> None:
        """Delivers facts to the projector, each as an event of its own."""
        for fact in facts:
            await self.projector.handle(envelope(fact))

    async def end(self, ingestion_id: str, run_id: str) -> None:
        """The run starts and succeeds."""
        story = Story(ingestion_id, run_id)
        await self.tell(story.fact(ScanStarted, attempt=1), story.fact(RunCompleted, outcome="success"))

    async def stored_credentials(self, ingestion_id: str) -> Credentials | None:
        """What is sealed for this ingestion, opened."""
        rows = await self.rows(select(secret.c.sealed).where(secret.c.ingestion_id == UUID(ingestion_id)))
        return open_credentials(self.box, UUID(ingestion_id), rows[0].sealed if rows else None)

    async def requested(self, ingestion_id: str) -> list[RunRequested]:
        """The runs that wait in the outbox for this ingestion, in order."""
        return [message for message in await self.commands(ingestion_id) if isinstance(message, RunRequested)]

    async def commands(self, ingestion_id: str) -> list[Message]:
        """What waits in the outbox for this ingestion, in order."""
        query = select(outbox.c.value).where(outbox.c.key == ingestion_id).order_by(outbox.c.id)
        async with self.database.read() as connection:
            return [decode(value).message for value in await connection.scalars(query)]

    async def ledger_has(self, ingestion_id: str, f: FileVersion, state: FileState, run_id: str) -> None:
        """A file version, as the run left it."""
        await self.rows(
            file.insert().values(
                ingestion_id=UUID(ingestion_id),
                generation=1,
                key_digest=f.digest,
                version_tag=f.version_tag,
                bucket=f.bucket,
                key=f.key,
                etag=f.etag,
                size_bytes=f.size_bytes,
                last_modified=f.last_modified,
                state=state,
                run_id=UUID(run_id),
            )
        )

    async def rows(self, statement: Any) -> list[Any]:
        async with self.database.begin() as connection:
            result = await connection.execute(statement)
            return list(result.all()) if result.returns_rows else []


class Story:
    """Makes the facts of one run, numbered as they are made."""

    def __init__(self, ingestion_id: str, run_id: str) -> None:
        self._ids = {"ingestion_id": UUID(ingestion_id), "run_id": UUID(run_id), "generation": 1}
        self._seq = 0
        self.totals = Totals()

    def fact(self, kind: type[RunFact], *, grow: dict[str, int] | None = None, **more: Any) -> RunFact:
        """``grow``: what the totals gain with this fact."""
        self._seq += 1
        grown = {name: (getattr(self.totals, name) or 0) + by for name, by in (grow or {}).items()}
        self.totals = self.totals.model_copy(update=grown)
        at = START + timedelta(seconds=self._seq)
        common = {**self._ids, "seq": self._seq, "occurred_at": at, "totals": self.totals}
        return kind.model_validate({**common, **more})


def envelope(message: Message) -> Envelope:
    """``message`` as a new event."""
    return Envelope(event_id=EventId(uuid4()), source="autoloader/test", time=START, message=message)


@asynccontextmanager
async def api_under_test(
    database: Database, secret_key: str, *, tenant_id: str, checks: dict[str, Check] | None = None
) -> AsyncIterator[ApiUnderTest]:
    """The API of one tenant."""
    relay = NotedRelay()
    box = SecretBox(secret_key)
    objects = MemoryObjects()
    clusters = Clusters({"local": "sc://localhost:15002", "big": "sc://big:15002/;token=topsecret"})
    messages = Outbox(source="autoloader/api", wake=relay.poke)
    run_requests = RunRequests(database, clusters, messages)
    runs = Runs(
        database,
        messages,
        relay,
        topic_prefix="autoloader",
        broker="kafka:9092",
        speed=Speed(),
        prices=Prices(),
    )
    live_runs = LiveRuns(runs.changed, listeners_max=3, interval=timedelta(seconds=0.01))
    word = ExecutorsWord(database, wait=timedelta(seconds=2))
    app = build_http(
        ingestions=Ingestions(database, box, clusters, messages),
        deletions=Deletions(database, clusters, messages, word, kept_for=KEPT_FOR),
        runs=runs,
        live_runs=live_runs,
        plans=Plans(database, box, clusters, objects, Speed(), Prices(), files_max=10),
        run_requests=run_requests,
        reconciliations=Reconciliations(database, clusters, messages),
        refreshes=Refreshes(
            database,
            box,
            clusters,
            messages,
            Impacts(database, objects, Speed(), Prices()),
            word,
            kept_for=KEPT_FOR,
        ),
        schemas=Schemas(database),
        schedules=Schedules(database),
        files=Files(database, box, objects),
        quarantine=Quarantine(database),
        completeness=Completeness(database),
        costs=Costs(database, clusters, lambda: objects, Speed(), Prices()),
        previews=Previews(database, clusters, lambda: objects, Bounds()),
        clusters=clusters,
        connection_tests=ConnectionTests(database, clusters, messages, wait=timedelta(seconds=0.5)),
        deliveries=Deliveries(database, messages),
        notification_secrets=SharedSecrets(NOTIFICATION_SECRETS),
        checks=checks or {},
        caller=Caller(TenantId(tenant_id), actor="tester"),
        webhooks=Webhooks(database, box, private_allowed=True),
        public_events=asyncapi("kafka:9092", version="1"),
    )
    looking = asyncio.create_task(live_runs.run())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        yield ApiUnderTest(
            tenant_id=tenant_id,
            database=database,
            box=box,
            app=app,
            client=client,
            live_runs=live_runs,
            relay=relay,
            run_requests=run_requests,
            ticker=Ticker(database, run_requests),
            projector=Projector(database, messages, live_runs.hint),
            sweeper=Sweeper(database, messages, interval=timedelta(0)),
            refreshes=RefreshProjector(database, messages),
            reminder=RefreshReminder(database, messages, interval=timedelta(0)),
            watcher=Watcher(database, messages, interval=timedelta(0)),
            expectations=Expectations(database, box, objects, messages, interval=timedelta(0), again=timedelta(0)),
            objects=objects,
        )
    live_runs.request_stop()
    await looking
