"""The API describes itself: OpenAPI 3.1, complete, with examples, and no credential in any answer."""

import base64
import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import SecretStr

from libs.common.backbone import Backbone
from services.api.app import build_live_runs, build_rest
from services.api.settings import ApiSettings
from tests.support.memory_objects import MemoryObjects


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    settings = ApiSettings(secret_key=SecretStr(base64.b64encode(bytes(32)).decode()))
    backbone = Backbone.build("api", settings)
    return build_rest(settings, backbone, MemoryObjects(), build_live_runs(settings, backbone)).openapi()


def operations(described: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def test_it_is_openapi_3_1_with_the_paths_of_the_contract(described: dict[str, Any]) -> None:
    """Nothing more than what works, nothing less than what was promised."""
    assert described["openapi"].startswith("3.1")
    one = "/api/v1/ingestions/{ingestion_id}"
    assert {
        "POST /api/v1/ingestions",
        "GET /api/v1/ingestions",
        "POST /api/v1/ingestions/estimate-cost",
        f"GET {one}",
        f"PUT {one}",
        f"PATCH {one}",
        f"DELETE {one}",
        f"POST {one}/refresh/full",
        f"POST {one}/refresh/new-only",
        f"POST {one}/run",
        f"POST {one}/pause",
        f"POST {one}/resume",
        f"POST {one}/audit",
        f"GET {one}/audits/{{audit_id}}",
        f"POST {one}/rebuild-ledger",
        f"GET {one}/rebuilds/{{rebuild_id}}",
        f"GET {one}/files",
        f"GET {one}/files/explain",
        f"GET {one}/runs",
        f"GET {one}/runs/{{run_id}}",
        f"GET {one}/runs/{{run_id}}/events",
        f"POST {one}/runs/{{run_id}}/cancel",
        f"POST {one}/runs/{{run_id}}/retry",
        "GET /api/v1/clusters",
        "GET /api/v1/clusters/{cluster_id}",
        "GET /api/v1/health/live",
        "GET /api/v1/health/ready",
        "GET /api/v1/metrics",
    } == {name for name, _ in operations(described)}


def test_every_operation_is_summarised_and_tells_its_errors(described: dict[str, Any]) -> None:
    """In our shape, not in FastAPI's."""
    for name, operation in operations(described):
        assert operation["summary"], name
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")):
                schema = answer["content"]["application/json"]["schema"]["$ref"]
                assert schema.endswith(("/ErrorBody", "/NotReady")), f"{name} {status}: {schema}"


def test_bodies_and_answers_have_examples(described: dict[str, Any]) -> None:
    """What a newcomer copies from /docs works."""
    schemas = described["components"]["schemas"]
    for name in ("IngestionIn", "IngestionOut", "RunOut", "RunAccepted"):
        assert schemas[name]["example"], name


def test_no_answer_has_a_place_for_a_credential(described: dict[str, Any]) -> None:
    """Credentials are reachable from the request body only."""
    schemas = described["components"]["schemas"]

    def reachable(name: str, seen: set[str]) -> set[str]:
        if name not in seen:
            seen.add(name)
            for other in schemas:
                if f'"#/components/schemas/{other}"' in json.dumps(schemas[name]):
                    reachable(other, seen)
        return seen

    assert "Credentials" in reachable("IngestionIn", set())
    assert "Credentials" not in reachable("IngestionOut", set())


def test_the_api_imports_nothing_heavy() -> None:
    """It starts in well under two seconds, because Spark and the AWS clients stay out of its process."""
    code = "import sys, services.api.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "fastapi" in loaded
    assert set() == loaded & {"pyspark", "pandas", "numpy", "botocore", "aioboto3", "aiobotocore", "boto3", "grpc"}
