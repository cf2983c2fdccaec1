"""The HTTP side: routes, error answers, documentation, and the server that runs inside our own runtime."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline

from libs.common.errors import Permanent
from services.api import errors
from services.api.caller import Caller
from services.api.clusters import routes as clusters_routes
from services.api.clusters.handlers import ConnectionTests
from services.api.clusters.registry import Clusters
from services.api.completeness import routes as completeness_routes
from services.api.completeness.handlers import Completeness
from services.api.costs import routes as costs_routes
from services.api.costs.handlers import Costs
from services.api.docs import TAGS, operation_id
from services.api.files import routes as files_routes
from services.api.files.handlers import Files
from services.api.health import routes as health_routes
from services.api.health.checks import Check
from services.api.ingestions import routes as ingestions_routes
from services.api.ingestions.handlers import Ingestions
from services.api.notifications import routes as notifications_routes
from services.api.notifications.handlers import Deliveries
from services.api.notifications.secrets import SharedSecrets
from services.api.plans import routes as plans_routes
from services.api.plans.handlers import Plans
from services.api.preview import routes as preview_routes
from services.api.preview.handlers import Previews
from services.api.quarantine import routes as quarantine_routes
from services.api.quarantine.handlers import Quarantine
from services.api.reconciliations import routes as reconciliations_routes
from services.api.reconciliations.handlers import Reconciliations
from services.api.refresh import routes as refresh_routes
from services.api.refresh.deletion import Deletions
from services.api.refresh.handlers import Refreshes
from services.api.requests import RequestScope
from services.api.runs import routes as runs_routes
from services.api.runs.handlers import Runs
from services.api.runs.live import LiveRuns
from services.api.runs.requests import RunRequests
from services.api.schedules import routes as schedules_routes
from services.api.schedules.handlers import Schedules
from services.api.table_schema import routes as schema_routes
from services.api.table_schema.handlers import Schemas
from services.api.webhooks import routes as webhooks_routes
from services.api.webhooks.events import describe_events
from services.api.webhooks.handlers import Webhooks

PREFIX = "/api/v1"
VERSION = "0.1.0"
_DESCRIPTION = """Keeps Apache Iceberg tables up to date with the files that land in object storage.

Lists are arrays, newest first, with `limit` and `offset`; `Link` and `X-Total-Count` tell the rest. Errors are
`{"detail", "code", "hint", "request_id"}`. Every answer carries `X-Request-ID`; send your own to find it in the log.
A POST with an `Idempotency-Key` may be repeated safely. What is told on Kafka is described at `/asyncapi.json`.
"""


def build_http(
    *,
    ingestions: Ingestions,
    deletions: Deletions,
    runs: Runs,
    live_runs: LiveRuns,
    run_requests: RunRequests,
    plans: Plans,
    reconciliations: Reconciliations,
    refreshes: Refreshes,
    schedules: Schedules,
    files: Files,
    schemas: Schemas,
    quarantine: Quarantine,
    completeness: Completeness,
    costs: Costs,
    previews: Previews,
    clusters: Clusters,
    connection_tests: ConnectionTests,
    deliveries: Deliveries,
    notification_secrets: SharedSecrets,
    checks: Mapping[str, Check],
    caller: Caller,
    webhooks: Webhooks,
    public_events: dict[str, Any],
) -> FastAPI:
    """The ASGI application. ``public_events`` is the AsyncAPI document of the topics."""
    app = FastAPIOffline(
        title="Autoloader",
        version=VERSION,
        description=_DESCRIPTION,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        redoc_url=None,
    )
    versioned = APIRouter(prefix=PREFIX)
    versioned.include_router(costs_routes.router(costs, caller))
    versioned.include_router(preview_routes.router(previews, caller))
    versioned.include_router(ingestions_routes.router(ingestions, deletions, caller))
    versioned.include_router(runs_routes.router(runs, run_requests, live_runs, caller))
    versioned.include_router(plans_routes.router(plans, caller))
    versioned.include_router(reconciliations_routes.router(reconciliations, caller))
    versioned.include_router(refresh_routes.router(refreshes, caller))
    versioned.include_router(schedules_routes.router(schedules, caller))
    versioned.include_router(files_routes.router(files, run_requests, caller))
    versioned.include_router(schema_routes.router(schemas, caller))
    versioned.include_router(quarantine_routes.router(quarantine, run_requests, caller))
    versioned.include_router(completeness_routes.router(completeness, caller))
    versioned.include_router(clusters_routes.router(clusters, connection_tests, caller))
    versioned.include_router(notifications_routes.router(deliveries, notification_secrets, caller))
    versioned.include_router(webhooks_routes.router(webhooks, caller))
    health = health_routes.router(checks)
    versioned.include_router(health)
    app.include_router(versioned)
    app.include_router(health, include_in_schema=False)
    app.add_api_route("/", _to_the_docs, include_in_schema=False)
    app.add_api_route("/asyncapi.json", lambda: JSONResponse(public_events), include_in_schema=False)
    describe_events(app.webhooks)
    errors.install(app)
    app.add_middleware(RequestScope)
    return app


async def _to_the_docs() -> RedirectResponse:
    """Who opens the bare address wants to know what there is."""
    return RedirectResponse("/docs")


class HttpServer:
    """Uvicorn as one part of our process: signals and logs are the runtime's, not its own."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when requests are answered.

        Raises:
            Permanent: code ``port_unavailable``.
        """
        # Bound here, because uvicorn would end the whole process when it cannot.
        listening = self._bind()
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name="uvicorn")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait((ready, self._task), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            return socket.create_server((self._host, self._port), family=family, backlog=2048)
        except OSError as error:
            raise Permanent(
                f"cannot listen on {self._host}:{self._port}: {error.strerror or error}",
                code="port_unavailable",
                hint="stop what listens there, or choose others with AUTOLOADER_API_PORT and AUTOLOADER_API_HOST",
            ) from error

    async def run(self) -> None:
        """Ends when the server does."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    def request_stop(self) -> None:
        """No new connections; open requests may end, for some seconds."""
        self._server.should_exit = True

    async def stop(self) -> None:
        """May be called twice."""
        self.request_stop()
        await self.run()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # libs.common.service listens for signals
