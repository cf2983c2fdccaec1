"""The words that the stories are told in: create, upload, run, wait, look.

Helpers that touch the network are coroutines (Spark and boto calls move to a thread); the others are plain functions.
All of them fail the test with a sentence that says what was expected, what came, and what that would mean.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict
from uuid import uuid4

import httpx
import pytest
from pyspark.sql import DataFrame, SparkSession

from client.answers import FINAL_STATUSES
from client.rest import problem_of
from tests.e2e.records import SchemaType, ndjson, record

_RULE = "=" * 80


class JsonFile(TypedDict):
    """A file that was uploaded: ``path`` as s3://…, its ``key``, ``size`` in bytes, and number of ``records``."""

    path: str
    key: str
    size: int
    records: int


NewIngestion = Callable[..., Awaitable[dict[str, Any]]]
"""``await new_ingestion("prefix_of_its_table", **overrides)``, as ``create_standard_ingestion`` takes them; the fixture
knows the rest."""


# --- output ------------------------------------------------------------------------------------------------


class E2ELogger:
    """A test's running commentary: headlines always, details when ``E2E_VERBOSE=true``."""

    def __init__(self) -> None:
        self.verbose = os.environ.get("E2E_VERBOSE", "").lower() in ("1", "true", "yes")

    def section(self, title: str) -> None:
        self._write(f"\n{_RULE}\n{title}\n{_RULE}")

    def phase(self, title: str) -> None:
        self._write(f"\n-- {title}")

    def step(self, msg: str, always: bool = False) -> None:
        if always or self.verbose:
            self._write(f"   {msg}")

    def metric(self, key: str, value: object) -> None:
        if self.verbose:
            self._write(f"   {key}: {value}")

    def success(self, msg: str, always: bool = True) -> None:
        if always or self.verbose:
            self._write(f"   ok: {msg}")

    def error(self, msg: str) -> None:
        self._write(f"   ERROR: {msg}")

    def _write(self, text: str) -> None:
        sys.stdout.write(text + "\n")


def print_test_summary(details: Sequence[tuple[str, object]], footer_message: str | None = None) -> None:
    """Prints ``details`` as an aligned list, with an optional last line."""
    width = max((len(label) for label, _ in details), default=0)
    lines = [_RULE, *(f"{label:<{width}}  {value}" for label, value in details), _RULE]
    sys.stdout.write("\n".join(lines + ([footer_message] if footer_message else [])) + "\n")


# --- requests ----------------------------------------------------------------------------------------------


async def post(
    api_client: httpx.AsyncClient, path: str, expected: int, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Posts to a path below ``/ingestions`` and returns the answer, which must have the ``expected`` status."""
    response = await api_client.post(f"/api/v1/ingestions/{path}", json=body)
    assert response.status_code == expected, f"POST {path} should be answered with {expected}: {problem_of(response)}"
    answer: dict[str, Any] = response.json()
    return answer


# --- ingestions --------------------------------------------------------------------------------------------


async def create_standard_ingestion(
    api_client: httpx.AsyncClient,
    cluster_id: str,
    test_bucket: str,
    minio_config: Mapping[str, str],
    table_name: str,
    name: str = "E2E Test Ingestion",
    evolution_enabled: bool = True,
    **overrides: Any,
) -> dict[str, Any]:
    """Creates an ingestion of ``s3://<test_bucket>/data/*.json`` into ``test_catalog.test_db.<table_name>``.

    ``overrides`` change any field of the request; a mapping is merged into the one it overrides
    (``source={"file_pattern": "*.csv"}`` keeps the path). Returns the API's answer.
    """
    response = await api_client.post(
        "/api/v1/ingestions",
        json=standard_definition(cluster_id, test_bucket, minio_config, table_name, name, evolution_enabled, overrides),
    )
    assert response.status_code == 201, f"The ingestion should have been created: {problem_of(response)}"
    created: dict[str, Any] = response.json()
    return created


def standard_definition(
    cluster_id: str,
    test_bucket: str,
    minio_config: Mapping[str, str],
    table_name: str,
    name: str = "E2E Test Ingestion",
    evolution_enabled: bool = True,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body that ``create_standard_ingestion`` sends, for tests that want to see it refused."""
    definition = {
        "name": name,
        "cluster_id": cluster_id,
        "source": {
            "type": "s3",
            "path": f"s3://{test_bucket}/data/",
            "file_pattern": "*.json",
            "credentials": {
                "aws_access_key_id": minio_config["aws_access_key_id"],
                "aws_secret_access_key": minio_config["aws_secret_access_key"],
                "endpoint_url": minio_config["endpoint_url"],
                "region": minio_config["region"],
            },
        },
        "format": {"type": "json", "schema": {"inference": "auto", "evolution_enabled": evolution_enabled}},
        "destination": {
            "catalog": "test_catalog",
            "database": "test_db",
            "table": table_name,
            "write_mode": "append",
            "partitioning": {"enabled": False, "columns": []},
        },
        "schedule": {"frequency": None},
        "quality": {"row_count_threshold": None, "alerts_enabled": False},
    }
    return _merged(definition, overrides or {})


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {**base} | {
        key: _merged(base[key], value) if isinstance(value, Mapping) and isinstance(base.get(key), Mapping) else value
        for key, value in changes.items()
    }


def get_table_identifier(ingestion: Mapping[str, Any]) -> str:
    """``catalog.database.table`` of the ingestion's destination."""
    destination = ingestion["destination"]
    return f"{destination['catalog']}.{destination['database']}.{destination['table']}"


def generate_unique_table_name(prefix: str = "e2e_test") -> str:
    """``<prefix>_<YYYYMMDDHHmmss>_<8 hex>``: the last part keeps workers that start in one second apart."""
    return f"{prefix}_{datetime.now(UTC):%Y%m%d%H%M%S}_{uuid4().hex[:8]}"


# --- runs --------------------------------------------------------------------------------------------------


async def trigger_run(api_client: httpx.AsyncClient, ingestion_id: str) -> str:
    """Asks for a run and returns its id."""
    response = await api_client.post(f"/api/v1/ingestions/{ingestion_id}/run")
    assert response.status_code == 202, f"The run should have been accepted: {problem_of(response)}"
    answer = response.json()
    assert answer["run_id"], f"An accepted run has an id: {answer}"
    assert answer["status"] in ("accepted", "running"), f"A new run waits or runs: {answer}"
    return str(answer["run_id"])


async def get_run(api_client: httpx.AsyncClient, ingestion_id: str, run_id: str) -> dict[str, Any]:
    """The run as it is now."""
    response = await api_client.get(f"/api/v1/ingestions/{ingestion_id}/runs/{run_id}")
    assert response.status_code == 200, f"The run should be readable: {problem_of(response)}"
    run: dict[str, Any] = response.json()
    return run


async def wait_for_run_completion(
    api_client: httpx.AsyncClient,
    ingestion_id: str,
    run_id: str,
    timeout: float = 180,  # noqa: ASYNC109 - the story's patience; asyncio's own would end without saying why
    poll_interval: float = 2,
    logger: E2ELogger | None = None,
    *,
    expected_status: str = "success",
) -> dict[str, Any]:
    """Polls until the run is over and returns it.

    Fails the test after ``timeout`` seconds, and at once when the run ends as anything but ``expected_status``.
    """
    began = time.monotonic()
    while True:
        run = await get_run(api_client, ingestion_id, run_id)
        elapsed = time.monotonic() - began
        if logger:
            logger.step(f"run {run_id} is {run['status']} after {elapsed:.1f} s: {run.get('progress')}")
        if run["status"] in FINAL_STATUSES:
            if run["status"] != expected_status:
                pytest.fail(f"Run {run_id} should have ended as {expected_status}, it ended as {run['status']}: "
                            f"{json.dumps(run.get('errors'), indent=1)}")  # fmt: skip
            return run
        if elapsed >= timeout:
            pytest.fail(f"Run {run_id} is still {run['status']} after {timeout} s: {json.dumps(run, indent=1)}")
        await asyncio.sleep(poll_interval)


async def run_to_end(
    api_client: httpx.AsyncClient, ingestion_id: str, expected_status: str = "success", timeout_s: float = 180
) -> dict[str, Any]:
    """Starts a run and returns it as it ended; looks often, so that a quick run stays quick."""
    run_id = await trigger_run(api_client, ingestion_id)
    return await wait_for_run_completion(
        api_client, ingestion_id, run_id, timeout_s, poll_interval=0.2, expected_status=expected_status
    )


def assert_run_metrics(
    run: Mapping[str, Any],
    expected_files: int | None = None,
    expected_records: int | None = None,
    expected_errors: int = 0,
    logger: E2ELogger | None = None,
) -> None:
    """Asserts that a successful run counted what was expected; ``None`` leaves a number unchecked."""
    metrics = run["metrics"]
    if logger:
        for key, value in {"status": run["status"], **metrics}.items():
            logger.metric(key, value)
    assert run["status"] in ("success", "completed"), f"The run ended as {run['status']}: {run.get('errors')}"
    assert run["started_at"] is not None, "A finished run knows when it started"
    assert run["ended_at"] is not None, "A finished run knows when it ended"
    for name, expected in (
        ("files_processed", expected_files),
        ("records_ingested", expected_records),
        ("error_count", expected_errors),
    ):
        assert expected is None or metrics[name] == expected, (
            f"{name} should be {expected}, it is {metrics[name]}. More means that files were read again."
        )


# --- files -------------------------------------------------------------------------------------------------


async def upload_json_files(
    minio_client: Any,
    test_bucket: str,
    start_file_idx: int,
    num_files: int,
    records_per_file: int = 1000,
    schema_type: SchemaType = "base",
    logger: E2ELogger | None = None,
) -> list[JsonFile]:
    """Uploads ``data/batch_<idx>.json`` files of NDJSON. Ids go on from file to file, so none occurs twice."""
    files = []
    for idx in range(start_file_idx, start_file_idx + num_files):
        first_id = idx * records_per_file
        body = ndjson(record(i, schema_type) for i in range(first_id, first_id + records_per_file))
        key = f"data/batch_{idx}.json"
        await asyncio.to_thread(minio_client.put_object, Bucket=test_bucket, Key=key, Body=body)
        files.append(JsonFile(path=f"s3://{test_bucket}/{key}", key=key, size=len(body), records=records_per_file))
        if logger:
            logger.step(f"uploaded {files[-1]['path']}: {records_per_file} records, {len(body)} bytes")
    return files


async def put(minio_client: Any, bucket: str, key: str, body: bytes) -> None:
    """A file lands, or is written again."""
    # An empty Body makes botocore promise bytes that never come, and the next request waits for them for half a minute.
    content = {"Body": body} if body else {}
    await asyncio.to_thread(minio_client.put_object, Bucket=bucket, Key=key, **content)


# --- tables ------------------------------------------------------------------------------------------------


async def verify_table_data(
    spark_session: SparkSession,
    table_identifier: str,
    expected_count: int | None = None,
    expected_fields: Iterable[str] | None = None,
    unexpected_fields: Iterable[str] | None = None,
    check_duplicates: bool = True,
    logger: E2ELogger | None = None,
) -> DataFrame:
    """Reads the table through Spark, checks rows, columns and distinct ids, and returns it for further questions."""
    table = await asyncio.to_thread(spark_session.table, table_identifier)
    columns = await asyncio.to_thread(lambda: list(table.columns))
    rows, ids = await asyncio.to_thread(
        lambda: tuple(table.selectExpr("count(*)", "count(DISTINCT id)" if "id" in columns else "-1").collect()[0])
    )
    if logger:
        logger.metric("rows", rows)
        logger.metric("columns", columns)
        logger.metric("distinct ids", ids)
    assert expected_count is None or rows == expected_count, (
        f"{table_identifier} should have {expected_count} rows, it has {rows}. "
        f"{'Files were loaded twice.' if rows > (expected_count or 0) else 'Rows were lost.'}"
    )
    missing = set(expected_fields or ()) - set(columns)
    assert not missing, f"{table_identifier} lacks the columns {sorted(missing)}; it has {columns}"
    surplus = set(unexpected_fields or ()) & set(columns)
    assert not surplus, f"{table_identifier} should not have the columns {sorted(surplus)}"
    if check_duplicates:
        assert ids == rows, f"{rows - ids} ids of {table_identifier} occur more than once: data was loaded twice"
    return table


async def verify_schema_evolution(
    spark_session: SparkSession,
    table_identifier: str,
    old_record_filter: str,
    new_record_filter: str,
    old_count: int,
    new_count: int,
    new_fields: Sequence[str],
    logger: E2ELogger | None = None,
) -> None:
    """Checks that rows from before a schema change have NULL in ``new_fields``, and later rows have values there."""
    counts = ["count(*) AS all_rows", *(f"count(`{field}`) AS `{field}`" for field in new_fields)]
    table = await asyncio.to_thread(spark_session.table, table_identifier)
    for which, condition, expected_rows, expected_values in (
        ("old", old_record_filter, old_count, 0),
        ("new", new_record_filter, new_count, new_count),
    ):
        rows = await asyncio.to_thread(table.where(condition).selectExpr(*counts).collect)
        found = rows[0].asDict()
        if logger:
            logger.metric(f"{which} rows ({condition})", found)
        assert found["all_rows"] == expected_rows, f"Expected {expected_rows} {which} rows, found {found['all_rows']}"
        for field in new_fields:
            assert found[field] == expected_values, (
                f"{field} should have {expected_values} values in the {which} rows, it has {found[field]}"
            )
