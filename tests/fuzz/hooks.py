"""Lets schemathesis ask for things that exist: ids that are made up lead to 404 and no further.

Loaded by schemathesis itself (``SCHEMATHESIS_HOOKS``), in a process of its own.
"""

import json
import os
from itertools import count
from typing import Any

import schemathesis

from tests.fuzz.seed import KNOWN_VARIABLE

_known: list[dict[str, str]] = json.loads(os.environ.get(KNOWN_VARIABLE, "[]"))
_turn = count()


def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Three of four requests name things that exist, and belong together; none of these deletes them."""
    turn = next(_turn)
    if not path_parameters or not _known or turn % 4 == 0 or context.operation.method.upper() == "DELETE":
        return path_parameters
    exists = _known[turn % len(_known)]
    return {**path_parameters, **{name: value for name, value in exists.items() if name in path_parameters}}


def map_headers(_: Any, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Two of three keys are used once: short ones come again and again, and all but the first would be refused."""
    if headers and isinstance(headers.get("idempotency-key"), str) and (turn := next(_turn)) % 3:
        return {**headers, "idempotency-key": f"{turn}-{os.getpid()}"}
    return headers


def map_body(context: Any, body: Any) -> Any:
    """Webhooks lead to this machine, where nothing listens: nobody else shall be called for made-up requests."""
    is_webhook = context.operation.path.endswith("/webhooks") and isinstance(body, dict)
    if is_webhook and str(body.get("url", "")).startswith("http"):
        return {**body, "url": f"http://127.0.0.1:1/{next(_turn)}"}
    return body


schemathesis.hook(map_body)
schemathesis.hook(map_path_parameters)
schemathesis.hook(map_headers)
