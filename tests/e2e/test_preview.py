"""A look before an ingestion is made, and what came of it."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.environment import Environment
from tests.e2e.helpers import (
    create_standard_ingestion,
    generate_unique_table_name,
    get_table_identifier,
    put,
    run_to_end,
    standard_definition,
    upload_json_files,
)
from tests.e2e.test_command_line import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

RECORDS = 20


async def _types(spark_session: SparkSession, query: str) -> dict[str, str]:
    """Column → type of what a query returns."""
    schema = await asyncio.to_thread(lambda: spark_session.sql(query).schema)
    return {field.name: field.dataType.simpleString() for field in schema.fields}


class TestPreview:
    async def test_the_table_comes_out_as_the_preview_said(
        self,
        api_client: httpx.AsyncClient,
        environment: Environment,
        minio_client: Any,
        minio_config: dict[str, str],
        test_bucket: str,
        spark_session: SparkSession,
        test_cluster_id: str,
        tmp_path: Path,
    ) -> None:
        """Somebody looks at files, plain and packed, with a mistake in one of them, and then loads them.

        Success criteria:
        - files, columns and types are shown, and the file with the mistake is named with its line
        - nothing is created: no ingestion, no table
        - the first run sets that file aside, and makes a table of exactly the columns and types that were shown
        - the command line shows the same
        """
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=RECORDS)
        packed = b'{"id": 1000, "value": 7, "user": {"id": "u", "tags": ["a"]}, "big": 9223372036854775808}\n'
        for key, body in (
            ("data/packed.json.gz", gzip.compress(packed)),
            ("data/wrong.json", b'{"id": 2000}\n{"id"\n'),
            ("data/notes.txt", b"to whom it may concern\n"),
        ):
            await put(minio_client, test_bucket, key, body)
        table = generate_unique_table_name("preview")
        definition = standard_definition(
            test_cluster_id, test_bucket, minio_config, table, overrides={"source": {"file_pattern": "*.json*"}}
        )

        answer = await api_client.post("/api/v1/ingestions/test", json=definition)
        assert answer.status_code == 200, problem_of(answer)
        preview = answer.json()
        assert (preview["file_count"], preview["files"]["objects"]) == (4, 5)
        assert preview["sample"]["records"] == 2 * RECORDS + 2
        assert [w["message"] for w in preview["warnings"]] == ["data/wrong.json: line 2 is not one JSON object"]
        assert len(preview["sample_rows"]) == 10
        listed = (await api_client.get("/api/v1/ingestions")).json()
        assert table not in [each["destination"]["table"] for each in listed]
        assert not spark_session.catalog.tableExists(f"test_catalog.test_db.{table}")

        ingestion = await create_standard_ingestion(
            api_client, test_cluster_id, test_bucket, minio_config, table, source={"file_pattern": "*.json*"}
        )
        run = await run_to_end(api_client, ingestion["id"], expected_status="partial")
        assert [error["line"] for error in run["errors"]] == [2]
        assert await _types(spark_session, f"SELECT * FROM {get_table_identifier(ingestion)}") == await _types(
            spark_session, "SELECT " + ", ".join(f"CAST(NULL AS {c['type']}) AS {c['name']}" for c in preview["schema"])
        )

        file = tmp_path / "definition.json"
        file.write_text(json.dumps(definition))
        autoloader = Terminal(environment.api_url)
        said = (await autoloader("preview", "-f", str(file))).out
        assert "4 of 5 objects would be loaded" in said
        assert "line 2 is not one JSON object" in said
        assert (await autoloader.json("preview", "-f", str(file)))["schema"] == preview["schema"]

    async def test_a_mistaken_definition_says_what_is_mistaken(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        minio_config: dict[str, str],
        test_bucket: str,
        test_cluster_id: str,
    ) -> None:
        """A pattern that nothing matches, a bucket that is not there, keys that are wrong, an address where nobody is.

        Success criteria:
        - the pattern is a warning, with one that would match
        - the others are refused with 422, a code and a remedy, within seconds
        """
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=1)

        async def asked(**source: Any) -> httpx.Response:
            definition = standard_definition(
                test_cluster_id, test_bucket, minio_config, "t", overrides={"source": source}
            )
            return await api_client.post("/api/v1/ingestions/test", json=definition)

        [warning] = (await asked(file_pattern="*.jsonl")).json()["warnings"]
        assert warning["code"] == "nothing_matches"
        assert "*.json" in warning["hint"]
        refusals: dict[str, dict[str, Any]] = {
            "bucket_not_found": {"path": "s3://no-such-bucket-anywhere/"},
            "access_denied": {"credentials": {"aws_secret_access_key": "wrong-secret"}},
            "storage_unreachable": {"credentials": {"endpoint_url": "http://localhost:1"}},
        }
        for code, source in refusals.items():
            refused = await asked(**source)
            assert (refused.status_code, refused.json()["code"]) == (422, code)
            assert refused.json()["hint"]
