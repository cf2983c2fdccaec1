"""``autoloader webhooks`` against a made-up API: what it asks for, what it says, and its exit codes."""

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from typer.testing import CliRunner, Result

from client import terminal
from client.cli import app
from client.commands import webhooks
from client.rest import AutoloaderClient

ID, DELIVERY_ID, INGESTION_ID = (str(UUID(int=n)) for n in (1, 2, 3))
_CLIENT = AutoloaderClient
WEBHOOK = {"id": ID, "url": "https://example.com/h", "event_types": ["run.failed"], "status": "active"}


def delivery(state: str, **more: Any) -> dict[str, Any]:
    at = "2025-01-07T12:34:56Z"
    return {"id": DELIVERY_ID, "event_type": "run.failed", "state": state, "attempts": 1, "created_at": at, **more}


class MadeUpApi:
    """Answers by method and path; several answers to one request come one after the other."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[httpx.Request] = []

    def on(self, request: str, *answers: Any, status: int = 200) -> None:
        self.answers[request] = [(status, answer) for answer in answers]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answers = self.answers[f"{request.method} {request.url.path.removeprefix('/api/v1')}"]
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return httpx.Response(status, json=answer) if status != 204 else httpx.Response(204)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> MadeUpApi:
    made_up = MadeUpApi()
    monkeypatch.setattr(terminal, "AutoloaderClient", lambda url: _CLIENT(url, transport=httpx.MockTransport(made_up)))
    monkeypatch.setattr(webhooks, "POLL_S", 0)
    return made_up


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["webhooks", *words])


def test_a_new_webhook_shows_its_secret_and_how_to_try_it(api: MadeUpApi) -> None:
    """An ingestion may be named by its name."""
    api.on("GET /ingestions", [_ingestion()])
    api.on("POST /webhooks", {**WEBHOOK, "secret": "whsec_x"}, status=201)
    result = call("create", "https://example.com/h", "--event", "run.failed", "--ingestion", "Flights")
    assert result.exit_code == 0, result.output
    assert "whsec_x" in result.output
    assert f"webhooks ping {ID}" in result.output
    sent = json.loads(api.asked[-1].content)
    assert (["run.failed"], INGESTION_ID) == (sent["event_types"], sent["ingestion_id"])
    assert api.asked[-1].headers["Idempotency-Key"]


def test_without_events_named_it_is_told_all(api: MadeUpApi) -> None:
    """As the API has it by default."""
    api.on("POST /webhooks", {**WEBHOOK, "secret": "whsec_x"}, status=201)
    assert call("create", "https://example.com/h").exit_code == 0
    assert "event_types" not in json.loads(api.asked[-1].content)


def test_webhooks_are_listed_with_their_trouble(api: MadeUpApi) -> None:
    """Why one was disabled; as JSON, all that the API said."""
    gone = {**WEBHOOK, "status": "disabled", "disabled_reason": "answered 410"}
    api.on("GET /webhooks", [gone])
    assert "answered 410" in call("list").output
    assert "disabled" == json.loads(call("list", "--json").output)[0]["status"]


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (delivery("delivered"), 0, "delivered"),
        (delivery("waiting", last_error="answered 500"), 1, "waiting: answered 500"),
        (delivery("dead", last_error="answered 410"), 1, "dead: answered 410"),
    ],
)
def test_a_ping_waits_for_the_first_attempt(api: MadeUpApi, end: dict[str, Any], code: int, said: str) -> None:
    """And says what came of it."""
    api.on(f"POST /webhooks/{ID}/ping", delivery("waiting"), status=202)
    api.on(f"GET /webhooks/{ID}/deliveries/{DELIVERY_ID}", delivery("waiting"), end)
    result = call("ping", ID)
    assert (code, said) == (result.exit_code, result.output.strip())


def test_deliveries_are_listed_by_state_and_sent_again(api: MadeUpApi) -> None:
    """What was given up, with its reason."""
    api.on(f"GET /webhooks/{ID}/deliveries", [delivery("dead", last_error="answered 500")])
    assert "answered 500" in call("deliveries", ID, "--state", "dead").output
    assert "dead" == api.asked[-1].url.params["state"]
    api.on(f"POST /webhooks/{ID}/deliveries/{DELIVERY_ID}/redeliver", delivery("waiting"), status=202)
    assert "waiting" in call("redeliver", ID, DELIVERY_ID).output


def test_enable_and_delete(api: MadeUpApi) -> None:
    """Each one request."""
    api.on(f"POST /webhooks/{ID}/enable", WEBHOOK)
    api.on(f"DELETE /webhooks/{ID}", None, status=204)
    assert "active" in call("enable", ID).output
    assert call("delete", ID).exit_code == 0
    assert ["POST", "DELETE"] == [request.method for request in api.asked]


def test_a_refusal_is_one_line_with_its_remedy(api: MadeUpApi) -> None:
    """Exit code 2."""
    refused = {"detail": "webhook is disabled", "code": "webhook_disabled", "hint": "enable it", "request_id": "r"}
    api.on(f"POST /webhooks/{ID}/ping", refused, status=409)
    result = call("ping", ID)
    assert result.exit_code == 2
    assert "enable it" in result.stderr


def _ingestion() -> dict[str, Any]:
    destination = {"catalog": "lake", "database": "demo", "table": "flights"}
    return {
        "id": INGESTION_ID, "name": "Flights", "status": "draft", "cluster_id": "local",
        "source": {"path": "s3://landing/flights/"}, "destination": destination, "created_at": "2025-01-07T12:34:56Z",
    }  # fmt: skip
