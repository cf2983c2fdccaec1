"""The REST client against a made-up server: what it sends, what it makes of answers, and how it words trouble."""

import json
from collections.abc import Callable
from uuid import UUID, uuid4

import httpx
import pytest

from client.rest import ApiAway, ApiProblem, AutoloaderClient

INGESTION = UUID("00000000-0000-0000-0000-000000000001")
RUN = UUID("00000000-0000-0000-0000-000000000002")


def client(answer: Callable[[httpx.Request], httpx.Response]) -> AutoloaderClient:
    return AutoloaderClient("http://api.test/", transport=httpx.MockTransport(answer))


def ingestion(number: int = 1) -> dict[str, object]:
    return {
        "id": str(UUID(int=number)),
        "name": f"Number {number}",
        "status": "draft",
        "cluster_id": "local",
        "source": {"type": "s3", "path": "s3://landing/flights/"},
        "destination": {"catalog": "lake", "database": "demo", "table": "flights", "write_mode": "append"},
        "created_at": "2025-01-01T00:00:00Z",
        "a_field_of_tomorrow": 1,
    }


def test_an_error_is_one_line_with_its_remedy() -> None:
    """What happened, what to do, and the id under which the server's log has more."""
    body = {"detail": "no ingestion has this id", "code": "not_found", "hint": "List them\nfirst.", "request_id": "r7"}
    with client(lambda _: httpx.Response(404, json=body)) as api, pytest.raises(ApiProblem) as caught:
        api.run(INGESTION, RUN)

    problem = caught.value
    assert (problem.status, problem.code, problem.request_id) == (404, "not_found", "r7")
    assert (problem.detail, problem.hint) == ("no ingestion has this id", "List them\nfirst.")
    assert str(problem) == "no ingestion has this id. List them first. [not_found, request r7]"


def test_validation_errors_name_their_fields() -> None:
    """FastAPI's list becomes field: what is wrong."""
    detail = [
        {"type": "value_error", "loc": ["body", "source", "path"], "msg": "must start with s3://"},
        {"type": "missing", "loc": ["body", "name"], "msg": "Field required"},
    ]
    with client(lambda _: httpx.Response(422, json={"detail": detail})) as api, pytest.raises(ApiProblem) as caught:
        api.create_ingestion({})

    assert caught.value.detail == "source.path: must start with s3://; name: Field required"
    assert caught.value.code == "http_422"


@pytest.mark.parametrize("content", [b"<html>Bad gateway</html>", b"", b"[1]", b'"text"'])
def test_an_answer_that_is_not_ours_is_still_one_line(content: bytes) -> None:
    """A proxy in between has words of its own; they are not shown, the request and the status are."""
    with client(lambda _: httpx.Response(502, content=content)) as api, pytest.raises(ApiAway) as caught:
        api.ready()
    assert str(caught.value) == "GET /health/ready answered 502 [http_502]"


def test_no_answer_names_the_address_and_the_command() -> None:
    """Nothing listens: the message has where it was looked for and how to start it."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with client(refuse) as api, pytest.raises(ApiAway) as caught:
        api.ready()
    assert "http://api.test" in str(caught.value)
    assert "make up" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_api_that_is_not_ready_names_what_is_away() -> None:
    """Readiness is a list of checks: those that fail are the message."""
    checks = {"postgres": {"status": "ok", "problem": None}, "kafka": {"status": "unavailable", "problem": "no broker"}}
    body = {"status": "not_ready", "checks": checks}
    with client(lambda _: httpx.Response(503, json=body)) as api, pytest.raises(ApiAway) as caught:
        api.ready()
    assert str(caught.value) == "the API is not ready: kafka: no broker [http_503]"


def test_a_post_carries_a_key_of_its_own() -> None:
    """Each POST may be repeated by whoever lost its answer; a GET needs no key."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if request.method == "GET":
            return httpx.Response(200, json={"id": str(RUN), "ingestion_id": str(INGESTION), "status": "accepted"})
        return httpx.Response(202, json={"run_id": str(RUN), "status": "accepted"})

    with client(answer) as api:
        api.start_run(INGESTION)
        api.start_run(INGESTION)
        run = api.run(INGESTION, RUN)

    keys = [request.headers.get("Idempotency-Key") for request in requests]
    assert keys[0]
    assert keys[1]
    assert keys[0] != keys[1]
    assert keys[2] is None
    assert not run.is_over
    assert run.metrics.files_processed == 0, "A run that has not begun has counted nothing"


def test_a_list_is_walked_to_its_end() -> None:
    """Two pages and a bit; unknown fields are no obstacle."""
    everything = [ingestion(number) for number in range(1, 206)]

    def answer(request: httpx.Request) -> httpx.Response:
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        return httpx.Response(200, json=everything[offset : offset + limit])

    with client(answer) as api:
        found = list(api.ingestions())
    assert [one.id.int for one in found] == list(range(1, 206))
    assert found[0].destination.identifier == "lake.demo.flights"


def test_a_definition_is_sent_as_it_is() -> None:
    """The client adds nothing to what its caller wrote."""
    sent: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(201, json=ingestion())

    with client(answer) as api:
        api.create_ingestion({"name": "x", "source": {"path": "s3://b/"}})
    assert sent == [{"name": "x", "source": {"path": "s3://b/"}}]


def test_a_deletion_has_no_answer() -> None:
    """204 is a success without a body."""
    with client(lambda _: httpx.Response(204)) as api:
        api.delete_ingestion(uuid4())
