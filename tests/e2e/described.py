"""What the API says that it can do, as requests that can be made: whoever goes through them forgets no new path."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

_DEFINITION = {
    "name": "x",
    "cluster_id": "local",
    "source": {"path": "s3://landing/x/"},
    "destination": {"catalog": "lake", "database": "x", "table": "x"},
}
_CONFIRMED = {"confirm": True}
# What makes a request valid, by method and the last part of its path.
_BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PUT", "{ingestion_id}"): _DEFINITION,
    ("PATCH", "{ingestion_id}"): {"name": "x"},
    ("POST", "full"): _CONFIRMED,
    ("POST", "new-only"): _CONFIRMED,
    ("POST", "undo"): _CONFIRMED,
    ("POST", "rebuild-ledger"): _CONFIRMED,
    ("POST", "backfill"): {"prefix": "x/"},
    ("POST", "plan"): {"kind": "run"},
    ("POST", "reload"): {"failed": True},
    ("POST", "approve"): {},
    ("POST", "reject"): {},
    ("POST", "rollback"): {"version": 1},
    ("POST", "fill"): {},
    ("POST", "replay"): {},
    ("POST", "s3"): {"Records": []},
}
_QUERY = {"key": "data/a.json", "confirm": "true"}


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and a path with the names of its ids."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    async def ask(self, client: httpx.AsyncClient, ids: Mapping[str, str]) -> httpx.Response:
        """A valid request. ``ids`` by the names that the path has for them.

        Raises:
            KeyError: the path has an id that is not among them.
        """
        path = re.sub(r"\{(\w+)\}", lambda named: ids[named[1]], self.path)
        body = _BODIES.get((self.method, self.path.rsplit("/", 1)[-1]))
        return await client.request(self.method, path, json=body, params=_QUERY)


async def operations(client: httpx.AsyncClient) -> list[Operation]:
    """All that the API's document describes."""
    described = (await client.get("/openapi.json")).json()["paths"]
    return [Operation(method.upper(), path) for path, methods in described.items() for method in methods]


def assert_explains_itself(response: httpx.Response) -> None:
    """A refusal has a code, a remedy and the id under which the log knows it."""
    body = response.json()
    assert body["detail"], body
    assert body["code"], body
    assert body["hint"], body
    assert body["request_id"] == response.headers["X-Request-ID"]
