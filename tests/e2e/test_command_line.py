"""A person at a terminal: the `autoloader` command against the real services."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from pyspark.sql import SparkSession

from tests.e2e.environment import Environment
from tests.e2e.helpers import generate_unique_table_name, put, standard_definition, upload_json_files, verify_table_data

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

RECORDS = 20


class Said(NamedTuple):
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str


class Terminal:
    """Types commands, each in a process of its own."""

    def __init__(self, api_url: str) -> None:
        self._environment = {**os.environ, "AUTOLOADER_API_URL": api_url}

    async def __call__(self, *arguments: str, code: int = 0) -> Said:
        """Fails the test if the command ends with another exit code."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "client.cli",
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        said = Said(process.returncode or 0, out.decode(), err.decode())
        assert said.code == code, f"autoloader {' '.join(arguments)} should end with {code}: {said}"
        return said

    async def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads((await self(*arguments, "--json", code=code)).out)


class TestCommandLine:
    async def test_from_the_definition_to_the_last_look(
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
        """Somebody creates an ingestion from a file, runs it, looks at a bad file, retries, pauses, and cleans up.

        Success criteria:
        - a watched run ends with its verdict as exit code: 1 with a broken file among three, 0 after it was mended
        - files and explain tell of the broken one, with the line
        - a plan and a backfill find nothing left; a reload says what it needs
        - a paused ingestion is refused in one line with the remedy, exit code 2
        - a dry run of a refresh changes nothing
        """
        autoloader = Terminal(environment.api_url)
        name = generate_unique_table_name("by_hand")
        definition = tmp_path / "definition.json"
        skips = {"quality": {"on_error": "skip_file"}}
        written = standard_definition(test_cluster_id, test_bucket, minio_config, name, name, overrides=skips)
        definition.write_text(json.dumps(written))
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=RECORDS)
        await put(minio_client, test_bucket, "data/bad.json", b'{"id": 900}\n{"id"\n')

        assert f"created {name}" in (await autoloader("ingestion", "create", "-f", str(definition))).out
        assert name in (await autoloader("ingestion", "list")).out
        shown = await autoloader.json("ingestion", "show", name)
        table = f"test_catalog.test_db.{name}"

        first = await autoloader("run", name, "--watch", code=1)
        assert f"partial: 2 files, {2 * RECORDS} records" in first.out
        assert "bad.json:2" in first.out
        [run] = await autoloader.json("runs", name)
        assert "data/bad.json" in (await autoloader("files", name, "--state", "failed")).out
        explained = await autoloader("explain", name, "data/bad.json")
        assert explained.out.startswith("failed: s3://")
        assert "next: repair the file" in explained.out

        await put(minio_client, test_bucket, "data/bad.json", b'{"id": 900}\n')
        assert "success: 1 files" in (await autoloader("retry", name, run["id"], "--watch")).out
        assert "loaded:" in (await autoloader("explain", name, "data/bad.json")).out
        await verify_table_data(spark_session, table, expected_count=2 * RECORDS + 1)

        planned = await autoloader("plan", name)
        assert "0 files of 0 bytes" in planned.out
        assert "nothing would be loaded" in planned.out
        assert "success: 0 files" in (await autoloader("backfill", name, "--prefix", "data/", "--watch")).out
        unchanged = await autoloader("reload", name, "data/bad.json", code=2)
        assert "_file_path" in unchanged.err
        assert unchanged.err.count("\n") == 1

        await autoloader("ingestion", "pause", name)
        refused = await autoloader("run", name, code=2)
        assert refused.err.count("\n") == 1
        assert "resume" in refused.err
        await autoloader("ingestion", "resume", name)

        dry = await autoloader("refresh", name, "--dry-run")
        assert "3 files to load" in dry.out
        assert await autoloader.json("runs", name) == await autoloader.json("runs", shown["id"])
        await verify_table_data(spark_session, table, expected_count=2 * RECORDS + 1)

        over = await autoloader("cancel", name, run["id"], code=2)
        assert "is over" in over.err
        assert "agree" in (await autoloader("audit", name)).out
        assert f"{table} stays" in (await autoloader("ingestion", "delete", name, "--yes")).out
        assert "no ingestion is named" in (await autoloader("ingestion", "show", name, code=2)).err
        await asyncio.to_thread(lambda: spark_session.sql(f"DROP TABLE IF EXISTS {table} PURGE").collect())

    async def test_a_table_is_refreshed_taken_back_and_dropped(
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
        """Somebody begins a table anew, regrets it, clears its history, and deletes the ingestion with its table.

        Success criteria:
        - after the undo nothing is left to load, and an audit finds bucket, ledger and table in agreement
        - each command says what was done, and where the tables are that it set aside
        """
        autoloader = Terminal(environment.api_url)
        name = generate_unique_table_name("regretted")
        definition = tmp_path / "definition.json"
        definition.write_text(json.dumps(standard_definition(test_cluster_id, test_bucket, minio_config, name, name)))
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=RECORDS)
        await autoloader("ingestion", "create", "-f", str(definition))
        assert "success: 2 files" in (await autoloader("run", name, "--watch")).out

        refreshed = await autoloader.json("refresh", name, "--no-auto-run", "--yes")
        assert "success: 2 files" in (await autoloader("run", name, "--watch")).out
        undone = await autoloader("undo-refresh", name, "--yes")
        assert "success: table_restored (2 files count as loaded in it)" in undone.out
        assert "success: 0 files" in (await autoloader("run", name, "--watch")).out
        assert "agree" in (await autoloader("audit", name)).out
        again = await autoloader("undo-refresh", name, refreshed["refresh_id"], "--yes", code=2)
        assert "was undone already" in again.err

        cleared = await autoloader("clear-history", name, "--yes")
        assert "success: processed_files_cleared" in cleared.out
        assert "twice" in cleared.out
        done = await autoloader.json("refreshes", name)
        assert ["clear_history", "undo", "full"] == [each["mode"] for each in done]
        deleted = await autoloader("ingestion", "delete", name, "--drop-table", "--yes")
        [dropped] = re.findall(r"success: table_dropped \(kept as (\S+)\)", deleted.out)
        await verify_table_data(spark_session, dropped, expected_count=2 * RECORDS)
        assert "no ingestion is named" in (await autoloader("ingestion", "show", name, code=2)).err
        aside = [
            operation["details"].removeprefix("kept as ")
            for each in done
            for operation in each["operations"]
            if operation["operation"] == "table_dropped"
        ]
        statements = [f"DROP TABLE {table} PURGE" for table in (dropped, *aside)]
        await asyncio.to_thread(lambda: [spark_session.sql(statement).collect() for statement in statements])
