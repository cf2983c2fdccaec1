"""The REST contract as Python calls: one method per request, typed answers, errors a person can act on.

For programs that want to start a run and watch it: the demo, the command line, scripts. It knows nothing of Kafka,
Postgres or Spark, and it never retries by itself except for a connection that was refused before anything was sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from client.answers import (
    Accepted,
    Audit,
    Cluster,
    Completeness,
    ConnectionTest,
    Explanation,
    File,
    Fill,
    Ingestion,
    Plan,
    Preview,
    Quarantined,
    Rebuild,
    Refresh,
    Run,
    Schedule,
    Schema,
    SchemaVersion,
)
from client.sse import events_of
from client.webhooks import Webhooks
from libs.common.contracts.events import RefreshStrategy
from libs.common.errors import AutoloaderError

DEFAULT_API_URL = "http://localhost:8000"
_PAGE = 100
SLOW_S = 60.0
"""For requests whose answer waits for Spark, or for a listing."""
SILENCE_S = 30.0
"""How long a stream of events may say nothing. The API says that it is there every 10 seconds."""


class ApiProblem(AutoloaderError):
    """The API refused, or did not answer. ``str()`` is one line: what happened, then what to do."""

    def __init__(
        self, detail: str, *, code: str, hint: str = "", request_id: str = "", status: int | None = None
    ) -> None:
        super().__init__(detail, code=code, hint=hint)
        self.detail = detail
        self.request_id = request_id
        self.status = status

    def __str__(self) -> str:
        says_more = self.hint and self.hint not in self.detail
        line = f"{self.detail.rstrip('.')}. {self.hint}" if says_more else self.detail
        marks = [self.code, *([f"request {self.request_id}"] if self.request_id else [])]
        return " ".join(f"{line} [{', '.join(marks)}]".split())


class ApiAway(ApiProblem):
    """Nothing answered at the API's address, or it answered that it cannot serve now. May pass by itself."""


class AutoloaderClient:
    """One API at one address. Use as a context manager, or call ``close()``.

    Raises:
        ApiProblem: code ``invalid_address``.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_API_URL,
        *,
        timeout_s: float = 10,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        try:
            self._http = httpx.Client(
                base_url=self.base_url, timeout=timeout_s, transport=transport or httpx.HTTPTransport(retries=1)
            )
        except httpx.InvalidURL as e:
            raise ApiProblem(
                f"{self.base_url} is no address ({e})", code="invalid_address", hint="It looks like http://host:8000."
            ) from e

    @property
    def webhooks(self) -> Webhooks:
        """Addresses that are told what happens."""
        return Webhooks(self._call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ready(self) -> None:
        """Returns when the API and all it depends on can serve.

        Raises:
            ApiAway: it does not answer, or a dependency of it is away (named in the message).
        """
        self._call("GET", "/health/ready")

    def ingestions(self) -> Iterator[Ingestion]:
        """All ingestions of the tenant, newest first, fetched page by page."""
        offset = 0
        while page := self._call("GET", "/api/v1/ingestions", params={"limit": _PAGE, "offset": offset}):
            yield from map(Ingestion.model_validate, page)
            if len(page) < _PAGE:
                return
            offset += _PAGE

    def create_ingestion(self, definition: Mapping[str, Any]) -> Ingestion:
        """Creates a draft from the body that docs of ``POST /ingestions`` describe."""
        return Ingestion.model_validate(self._call("POST", "/api/v1/ingestions", json=dict(definition)))

    def preview(self, definition: Mapping[str, Any]) -> Preview:
        """What an ingestion of this definition would begin with. Nothing is created."""
        return Preview.model_validate(
            self._call("POST", "/api/v1/ingestions/test", json=dict(definition), once=False, timeout=SLOW_S)
        )

    def ingestion(self, ingestion_id: UUID) -> Ingestion:
        return Ingestion.model_validate(self._call("GET", f"/api/v1/ingestions/{ingestion_id}"))

    def replace_ingestion(self, ingestion_id: UUID, definition: Mapping[str, Any]) -> Ingestion:
        """The whole definition anew; stored credentials stay when the body has none."""
        body = dict(definition)
        return Ingestion.model_validate(self._call("PUT", f"/api/v1/ingestions/{ingestion_id}", json=body))

    def pause(self, ingestion_id: UUID) -> str:
        """Nothing begins until ``resume``. Returns the status."""
        return str(self._call("POST", f"/api/v1/ingestions/{ingestion_id}/pause")["status"])

    def resume(self, ingestion_id: UUID) -> str:
        """Returns the status."""
        return str(self._call("POST", f"/api/v1/ingestions/{ingestion_id}/resume")["status"])

    def schedule(self, ingestion_id: UUID, *, count: int = 5) -> Schedule:
        """When it runs by itself, with its next ``count`` ticks (at most 100)."""
        path = f"/api/v1/ingestions/{ingestion_id}/schedule"
        return Schedule.model_validate(self._call("GET", path, params={"count": count}))

    def delete_ingestion(self, ingestion_id: UUID, *, drop_table: bool = False) -> Refresh | None:
        """Forgets the ingestion. Its table stays, or is set aside. None: deleted, and nothing more to say."""
        fate = {"table": "drop" if drop_table else "keep"}
        answer = self._call("DELETE", f"/api/v1/ingestions/{ingestion_id}", params=fate, timeout=SLOW_S)
        return None if answer is None else Refresh.model_validate(answer)

    def start_run(self, ingestion_id: UUID, *, plan_id: UUID | None = None) -> Accepted:
        """A run of what is new; with ``plan_id``, of exactly the files of that plan."""
        body = {} if plan_id is None else {"json": {"plan_id": str(plan_id)}}
        return Accepted.model_validate(self._call("POST", f"/api/v1/ingestions/{ingestion_id}/run", **body))

    def make_plan(self, ingestion_id: UUID, asked: Mapping[str, Any]) -> Plan:
        """What would be loaded, from the body that docs of ``POST …/plan`` describe. Nothing is."""
        answer = self._call("POST", f"/api/v1/ingestions/{ingestion_id}/plan", json=dict(asked), timeout=SLOW_S)
        return Plan.model_validate(answer)

    def run(self, ingestion_id: UUID, run_id: UUID) -> Run:
        return Run.model_validate(self._call("GET", f"/api/v1/ingestions/{ingestion_id}/runs/{run_id}"))

    def run_events(self, ingestion_id: UUID, run_id: UUID) -> Iterator[Run]:
        """The run as it is now, and whenever it changes. Ends when it is over, or earlier if the API stops.

        Raises:
            ApiAway: the stream broke off, or nobody spoke for ``SILENCE_S``. ApiProblem: it was refused.
        """
        path = f"/api/v1/ingestions/{ingestion_id}/runs/{run_id}/events"
        with self._reaching(), self._http.stream("GET", path, timeout=SILENCE_S) as response:
            if not response.is_success:
                response.read()
                raise problem_of(response)
            for event in events_of(response.iter_lines()):
                yield Run.model_validate_json(event.data)

    def runs(self, ingestion_id: UUID) -> list[Run]:
        """The newest runs (at most 100), newest first."""
        page = self._call("GET", f"/api/v1/ingestions/{ingestion_id}/runs", params={"limit": _PAGE})
        return [Run.model_validate(run) for run in page]

    def backfill(self, ingestion_id: UUID, part: Mapping[str, Any]) -> Accepted:
        """A run, in the lane of backfills, of the part of the source that the body of ``POST …/backfill`` describes."""
        return Accepted.model_validate(
            self._call("POST", f"/api/v1/ingestions/{ingestion_id}/backfill", json=dict(part))
        )

    def reload(self, ingestion_id: UUID, which: Mapping[str, Any]) -> Accepted:
        """A run that loads files again: the body of ``POST …/files/reload``."""
        path = f"/api/v1/ingestions/{ingestion_id}/files/reload"
        return Accepted.model_validate(self._call("POST", path, json=dict(which)))

    def replay(self, ingestion_id: UUID, files: Sequence[str] | None = None) -> Accepted:
        """A run that reads files with records in the quarantine again: all of them, or these."""
        path = f"/api/v1/ingestions/{ingestion_id}/quarantine/replay"
        return Accepted.model_validate(self._call("POST", path, json={"files": list(files)} if files else {}))

    def retry_run(self, ingestion_id: UUID, run_id: UUID) -> Accepted:
        """A new run of what that one could not load."""
        return Accepted.model_validate(self._call("POST", f"/api/v1/ingestions/{ingestion_id}/runs/{run_id}/retry"))

    def cancel_run(self, ingestion_id: UUID, run_id: UUID) -> str:
        """Nothing more of it is planned or published. Returns its status as it is now."""
        return str(self._call("POST", f"/api/v1/ingestions/{ingestion_id}/runs/{run_id}/cancel")["status"])

    def files(
        self,
        ingestion_id: UUID,
        *,
        state: str | None = None,
        prefix: str | None = None,
        run_id: UUID | None = None,
        limit: int = _PAGE,
    ) -> tuple[list[File], int]:
        """The newest ``limit`` file versions that all filters let through, and how many there are in all."""
        filters = {"state": state, "prefix": prefix, "run_id": str(run_id) if run_id else None}
        wanted = {name: value for name, value in filters.items() if value is not None}
        listed: list[File] = []
        while True:
            page = {"limit": min(_PAGE, limit - len(listed)), "offset": len(listed)}
            answer = self._send("GET", f"/api/v1/ingestions/{ingestion_id}/files", params={**wanted, **page})
            total = int(answer.headers["X-Total-Count"])
            files = [File.model_validate(each) for each in answer.json()]
            listed += files
            if not files or len(listed) >= min(limit, total):
                return listed, total

    def explain(self, ingestion_id: UUID, key: str) -> Explanation:
        """Why ``key`` (or ``s3://bucket/key``) is in the table or is not."""
        answer = self._call("GET", f"/api/v1/ingestions/{ingestion_id}/files/explain", params={"key": key})
        return Explanation.model_validate(answer)

    def completeness(self, ingestion_id: UUID) -> Completeness:
        """Up to when everything is loaded, and what holds that back."""
        return Completeness.model_validate(self._call("GET", f"/api/v1/ingestions/{ingestion_id}/completeness"))

    def schema(self, ingestion_id: UUID) -> Schema:
        """The columns of the ingestion's table."""
        return Schema.model_validate(self._call("GET", f"/api/v1/ingestions/{ingestion_id}/schema"))

    def schema_versions(self, ingestion_id: UUID) -> list[SchemaVersion]:
        """How its columns came to be: the newest 100 versions, newest first."""
        path = f"/api/v1/ingestions/{ingestion_id}/schema/versions"
        return [SchemaVersion.model_validate(each) for each in self._call("GET", path, params={"limit": _PAGE})]

    def decide_columns(self, ingestion_id: UUID, columns: Sequence[str] | None, *, approve: bool) -> Schema:
        """Lets fields become columns, or keeps them from it; None: all that wait for a decision."""
        path = f"/api/v1/ingestions/{ingestion_id}/schema/{'approve' if approve else 'reject'}"
        return Schema.model_validate(self._call("POST", path, json={"columns": columns and list(columns)}))

    def roll_back_schema(self, ingestion_id: UUID, version: int) -> Schema:
        """From the next batch on, files fill the columns of this version alone."""
        path = f"/api/v1/ingestions/{ingestion_id}/schema/rollback"
        return Schema.model_validate(self._call("POST", path, json={"version": version}))

    def quarantine(
        self, ingestion_id: UUID, *, file: str | None = None, limit: int = _PAGE
    ) -> tuple[list[Quarantined], int]:
        """The newest ``limit`` files with bad records (at most 100), and how many there are in all. ``file`` is a key,
        or ``s3://bucket/key``."""
        params = {"limit": str(limit), **({"file": file} if file is not None else {})}
        answer = self._send("GET", f"/api/v1/ingestions/{ingestion_id}/quarantine", params=params)
        listed = [Quarantined.model_validate(each) for each in answer.json()]
        return listed, int(answer.headers["X-Total-Count"])

    def refresh(
        self,
        ingestion_id: UUID,
        *,
        full: bool,
        dry_run: bool = False,
        auto_run: bool = True,
        strategy: RefreshStrategy = "drop",
    ) -> Refresh:
        """Begins the table anew: every file again, or only files that were never loaded."""
        body = {"confirm": True, "dry_run": dry_run, "auto_run": auto_run, "strategy": strategy}
        path = f"/api/v1/ingestions/{ingestion_id}/refresh/{'full' if full else 'new-only'}"
        return Refresh.model_validate(self._call("POST", path, json=body, timeout=SLOW_S))

    def refreshes(self, ingestion_id: UUID) -> list[Refresh]:
        """The newest refreshes (at most 100), newest first."""
        page = self._call("GET", f"/api/v1/ingestions/{ingestion_id}/refresh", params={"limit": _PAGE})
        return [Refresh.model_validate(refresh) for refresh in page]

    def undo_refresh(self, ingestion_id: UUID, refresh_id: UUID, *, auto_run: bool = False) -> Refresh:
        """Brings back the table from before the refresh, with its history."""
        path = f"/api/v1/ingestions/{ingestion_id}/refresh/{refresh_id}/undo"
        return Refresh.model_validate(self._call("POST", path, json={"auto_run": auto_run}, timeout=SLOW_S))

    def clear_history(self, ingestion_id: UUID) -> Refresh:
        """No file counts as loaded any more; the table stays as it is."""
        path = f"/api/v1/ingestions/{ingestion_id}/processed-files"
        return Refresh.model_validate(self._call("DELETE", path, params={"confirm": True}, timeout=SLOW_S))

    def clusters(self) -> list[Cluster]:
        """The clusters that an ingestion may name (the first 100)."""
        page = self._call("GET", "/api/v1/clusters", params={"limit": _PAGE})
        return [Cluster.model_validate(each) for each in page]

    def test_connection(self, cluster_id: str) -> ConnectionTest:
        """Has an executor look at a cluster; waits for its word as long as the API does."""
        path = f"/api/v1/clusters/{quote(cluster_id, safe='')}/test-connection"
        return ConnectionTest.model_validate(self._call("POST", path, timeout=SLOW_S))

    def request_audit(self, ingestion_id: UUID) -> UUID:
        """The id of the audit that will happen."""
        return UUID(self._call("POST", f"/api/v1/ingestions/{ingestion_id}/audit")["audit_id"])

    def audit(self, ingestion_id: UUID, audit_id: UUID) -> Audit:
        return Audit.model_validate(self._call("GET", f"/api/v1/ingestions/{ingestion_id}/audits/{audit_id}"))

    def request_rebuild(
        self, ingestion_id: UUID, *, dry_run: bool, unproven: str | None = None, from_ingestion: UUID | None = None
    ) -> UUID:
        """The id of the rebuild that will happen."""
        body = {
            "confirm": True,
            "dry_run": dry_run,
            "unproven": unproven,
            "from_ingestion": str(from_ingestion) if from_ingestion else None,
        }
        return UUID(self._call("POST", f"/api/v1/ingestions/{ingestion_id}/rebuild-ledger", json=body)["rebuild_id"])

    def rebuild(self, ingestion_id: UUID, rebuild_id: UUID) -> Rebuild:
        return Rebuild.model_validate(self._call("GET", f"/api/v1/ingestions/{ingestion_id}/rebuilds/{rebuild_id}"))

    def request_fill(self, ingestion_id: UUID, columns: list[str] | None) -> UUID:
        """The id of the fill that will happen, of these columns or (None) of all."""
        body = {"columns": columns}
        return UUID(self._call("POST", f"/api/v1/ingestions/{ingestion_id}/schema/fill", json=body)["fill_id"])

    def fill(self, ingestion_id: UUID, fill_id: UUID) -> Fill:
        return Fill.model_validate(self._call("GET", f"/api/v1/ingestions/{ingestion_id}/schema/fills/{fill_id}"))

    def _call(self, method: str, path: str, **request: Any) -> Any:
        response = self._send(method, path, **request)
        return response.json() if response.content else None

    def _send(self, method: str, path: str, *, once: bool = True, **request: Any) -> httpx.Response:
        # The key makes a repeated POST harmless: a caller who lost the answer may send the same request again. Answers
        # are kept for it, so a POST that changes nothing goes without.
        headers = {"Idempotency-Key": str(uuid4())} if method == "POST" and once else {}
        with self._reaching():
            response = self._http.request(method, path, headers=headers, **request)
        if response.is_success:
            return response
        raise problem_of(response)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """What goes wrong on the way becomes ``ApiAway``."""
        try:
            yield
        except httpx.ReadTimeout as e:
            raise ApiAway(
                f"the API at {self.base_url} took the request, and gave no answer in time",
                code="api_slow",
                hint="It may have been done: look before you ask again.",
            ) from e
        except httpx.TransportError as e:
            raise ApiAway(
                f"no answer from the API at {self.base_url} ({e or type(e).__name__})",
                code="api_unreachable",
                hint="Start it with `make services` (or `autoloader dev up --services`), which does `make up` first.",
            ) from e


def problem_of(response: httpx.Response) -> ApiProblem:
    """The error that an unsuccessful ``response`` describes, whatever its body is."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    kind = ApiAway if response.status_code in (502, 503, 504) else ApiProblem
    return kind(
        _detail_of(body) or f"{response.request.method} {response.request.url.path} answered {response.status_code}",
        code=str(body.get("code") or f"http_{response.status_code}"),
        hint=str(body.get("hint") or ""),
        request_id=str(body.get("request_id") or response.headers.get("x-request-id", "")),
        status=response.status_code,
    )


def _detail_of(body: dict[str, Any]) -> str:
    """``detail`` as one line; FastAPI's list of validation errors becomes ``source.path: what is wrong; …``.

    An API that is not ready has no ``detail``: it lists its ``checks``.
    """
    if isinstance(body.get("checks"), dict):
        away = {name: check.get("problem") for name, check in body["checks"].items() if check.get("problem")}
        return "the API is not ready: " + "; ".join(f"{name}: {problem}" for name, problem in away.items())
    detail = body.get("detail")
    if not isinstance(detail, list):
        return str(detail or "")
    return "; ".join(
        f"{'.'.join(str(part) for part in item.get('loc', ()) if part != 'body')}: {item.get('msg', 'invalid')}"
        for item in detail
        if isinstance(item, dict)
    )
