"""The API describes itself: OpenAPI 3.1, complete, with examples, and no credential in any answer."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from services.api.describe import openapi
from services.api.docs import ErrorBody


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return openapi()


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
        "POST /api/v1/ingestions/test",
        f"GET {one}",
        f"PUT {one}",
        f"PATCH {one}",
        f"DELETE {one}",
        f"POST {one}/refresh/full",
        f"POST {one}/refresh/new-only",
        f"POST {one}/refresh/{{refresh_id}}/undo",
        f"GET {one}/refresh",
        f"DELETE {one}/processed-files",
        f"GET {one}/refresh/{{refresh_id}}",
        f"POST {one}/run",
        f"POST {one}/backfill",
        f"POST {one}/plan",
        f"GET {one}/plans/{{plan_id}}",
        f"GET {one}/plans/{{plan_id}}/files",
        f"POST {one}/pause",
        f"POST {one}/resume",
        f"POST {one}/audit",
        f"GET {one}/audits/{{audit_id}}",
        f"POST {one}/rebuild-ledger",
        f"GET {one}/rebuilds/{{rebuild_id}}",
        f"GET {one}/schedule",
        f"GET {one}/files",
        f"GET {one}/schema",
        f"GET {one}/schema/versions",
        f"POST {one}/schema/approve",
        f"POST {one}/schema/reject",
        f"POST {one}/schema/rollback",
        f"POST {one}/schema/fill",
        f"GET {one}/schema/fills/{{fill_id}}",
        f"GET {one}/schema/versions/{{version}}",
        f"GET {one}/files/explain",
        f"POST {one}/files/reload",
        f"GET {one}/completeness",
        f"GET {one}/quarantine",
        f"POST {one}/quarantine/replay",
        f"GET {one}/runs",
        f"GET {one}/runs/{{run_id}}",
        f"GET {one}/runs/{{run_id}}/events",
        f"POST {one}/runs/{{run_id}}/cancel",
        f"POST {one}/runs/{{run_id}}/retry",
        "POST /api/v1/webhooks",
        "GET /api/v1/webhooks",
        "GET /api/v1/webhooks/{webhook_id}",
        "DELETE /api/v1/webhooks/{webhook_id}",
        "POST /api/v1/webhooks/{webhook_id}/enable",
        "POST /api/v1/webhooks/{webhook_id}/ping",
        "GET /api/v1/webhooks/{webhook_id}/deliveries",
        "GET /api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}",
        "POST /api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
        "GET /api/v1/clusters",
        "GET /api/v1/clusters/{cluster_id}",
        "GET /api/v1/clusters/{cluster_id}/connection-tests/{test_id}",
        "POST /api/v1/clusters/{cluster_id}/test-connection",
        "POST /api/v1/notifications/s3",
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


def test_every_operation_is_named_described_and_sorted_in(described: dict[str, Any]) -> None:
    """A name that a generated client may carry; tags that are explained."""
    tags = {tag["name"] for tag in described["tags"]}
    names = [operation["operationId"] for _, operation in operations(described)]
    assert len(set(names)) == len(names)
    for name, operation in operations(described):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name


def test_every_operation_tells_what_its_parts_can_be_refused_for(described: dict[str, Any]) -> None:
    """A path may lead nowhere, a parameter be invalid, a body broken or too large, a store away."""
    for name, operation in operations(described):
        if "health" in operation["tags"]:
            continue
        places = {parameter["in"] for parameter in operation.get("parameters", ())}
        is_repeatable = any(p["name"] == "idempotency-key" for p in operation.get("parameters", ()))
        has_body = "requestBody" in operation
        expected = {"500", "503"}
        expected |= {"404"} if "path" in places else set()
        expected |= {"422"} if places or has_body else set()
        expected |= {"413"} if has_body or is_repeatable else set()
        expected |= {"400"} if has_body else set()
        assert expected <= operation["responses"].keys(), name
        assert name.startswith("POST ") == is_repeatable, name


def test_every_error_comes_with_an_example(described: dict[str, Any]) -> None:
    """In the shape that it is promised in; 503 tells how long to wait."""
    for name, operation in operations(described):
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")):
                assert ErrorBody.model_validate(answer["content"]["application/json"]["example"]).hint, name
            assert (status == "503") == ("Retry-After" in answer.get("headers", {})), f"{name} {status}"


def test_every_list_tells_of_its_pages(described: dict[str, Any]) -> None:
    """In headers."""
    for name, operation in operations(described):
        answer = operation["responses"].get("200", {})
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        assert (schema.get("type") == "array") == ("X-Total-Count" in answer.get("headers", {})), name


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
