"""Folders of keys, as Hive names them, become columns where a user asks for it."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    create_standard_ingestion,
    generate_unique_table_name,
    get_table_identifier,
    post,
    put,
    run_to_end,
    standard_definition,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

ASKED: dict[str, Any] = {
    "source": {"partition_columns": ["day", "region"]},
    "format": {"schema": {"hints": {"day": "date"}}},
    "destination": {"partitioning": {"enabled": True, "columns": ["days(day)", "region"]}},
}


async def test_folders_of_keys_become_columns(
    api_client: httpx.AsyncClient,
    minio_client: Any,
    minio_config: dict[str, str],
    test_bucket: str,
    spark_session: SparkSession,
    test_cluster_id: str,
) -> None:
    """A table by day and region, whose files have neither.

    Success criteria:
    - the preview shows the columns, their values, and the file whose key does not fit
    - each row has what its key says, and the table is partitioned by it; a key without a folder gives null
    - the file whose key does not fit is named, and the others load; a field of such a name is left out, and told
    - the history of the columns shows the key that they came from
    """

    async def land(folders: str, *records: dict[str, Any]) -> None:
        body = "".join(json.dumps(record) + "\n" for record in records).encode()
        await put(minio_client, test_bucket, f"data/{folders}part-0.json", body)

    await land("day=2025-01-07/region=01%2Feu/", {"id": 1}, {"id": 2, "region": "forged"})
    await land("day=2025-01-08/region=__HIVE_DEFAULT_PARTITION__/", {"id": 3})
    await land("", {"id": 4})
    await land("day=yesterday/region=01%2Feu/", {"id": 5})
    name = generate_unique_table_name("folders")

    definition = standard_definition(test_cluster_id, test_bucket, minio_config, name, overrides=ASKED)
    preview = await post(api_client, "test", 200, definition)
    assert [("id", "bigint"), ("day", "date"), ("region", "string")] == [
        (column["name"], column["type"]) for column in preview["schema"]
    ]
    assert {"id": 1, "day": "2025-01-07", "region": "01/eu"} in preview["sample_rows"]
    assert {"key_does_not_fit", "field_overruled"} <= {warning["code"] for warning in preview["warnings"]}

    ingestion = await create_standard_ingestion(api_client, test_cluster_id, test_bucket, minio_config, name, **ASKED)
    table, url = get_table_identifier(ingestion), f"/api/v1/ingestions/{ingestion['id']}"
    run = await run_to_end(api_client, ingestion["id"], expected_status="partial")
    [error] = run["errors"]
    assert ("key_does_not_fit", f"s3://{test_bucket}/data/day=yesterday/region=01%2Feu/part-0.json") == (
        error["error_type"],
        error["file"],
    )
    assert ["region" in warning for warning in run["warnings"]] == [True]

    rows = await asyncio.to_thread(
        spark_session.sql(f"SELECT id, cast(day AS string), region FROM {table} ORDER BY id").collect
    )
    assert [
        (1, "2025-01-07", "01/eu"),
        (2, "2025-01-07", "01/eu"),
        (3, "2025-01-08", None),
        (4, None, None),
    ] == [tuple(row) for row in rows]
    parts = await asyncio.to_thread(spark_session.sql(f"SELECT partition.* FROM {table}.partitions").collect)
    assert 3 == len(parts)

    versions = await api_client.get(f"{url}/schema/versions")
    assert versions.status_code == 200, problem_of(versions)
    causes = {change["column"]: (change["file"], change["example"]) for change in versions.json()[0]["changes"]}
    first = f"s3://{test_bucket}/data/day=2025-01-07/region=01%2Feu/part-0.json"
    assert {"day": (first, '"2025-01-07"'), "region": (first, '"01/eu"')} == {
        column: causes[column] for column in ("day", "region")
    }
