"""A stranger follows runs with nothing but the address of the AsyncAPI document: none of our code, no other word."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.environment import Environment
from tests.e2e.helpers import JsonFile, NewIngestion, get_run, trigger_run, wait_for_run_completion

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

SCRIPT = Path(__file__).parents[2] / "docs/examples/follow_runs.py"


async def stranger(tmp_path: Path, environment: Environment, *words: str) -> list[dict[str, Any]]:
    """What the documented example prints, run by a Python that cannot import anything of ours."""
    script = tmp_path / SCRIPT.name
    script.write_text(SCRIPT.read_text())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(script), f"{environment.api_url}/asyncapi.json", *words,
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()
    return [json.loads(line) for line in out.splitlines()]


class TestForeignConsumer:
    async def test_a_stranger_follows_a_run_to_its_end(
        self,
        tmp_path: Path,
        environment: Environment,
        api_client: httpx.AsyncClient,
        sample_json_files: list[JsonFile],
        new_ingestion: NewIngestion,
    ) -> None:
        """Learns broker, topics and schemas from the document, and validates whatever comes.

        Success criteria:
        - the run is told from its first fact to its last, without a gap, and its numbers are what REST says
        - who comes late finds the run in one message, as REST shows it
        """
        imported = [line for line in SCRIPT.read_text().splitlines() if line.startswith(("import ", "from "))]
        ours = ("libs", "services", "client", "devstack", "tests")
        assert not [line for line in imported if line.split()[1].split(".")[0] in ours]
        ingestion = await new_ingestion("stranger", source={"max_files_per_trigger": 2})
        run_id = await trigger_run(api_client, ingestion["id"])

        told = await stranger(tmp_path, environment, "--run", run_id)

        assert [fact["seq"] for fact in told] == list(range(1, len(told) + 1))
        assert ("scan.started.v1", "run.completed.v1") == (told[0]["type"], told[-1]["type"])
        assert told[-1]["outcome"] == "success"
        await wait_for_run_completion(api_client, ingestion["id"], run_id, timeout=10, poll_interval=0.1)
        run = await get_run(api_client, ingestion["id"], run_id)
        assert told[-1]["totals"]["records_ingested"] == run["metrics"]["records_ingested"]
        assert told[-1]["totals"]["records_ingested"] == sum(file["records"] for file in sample_json_files)

        async def state() -> dict[str, Any]:
            [found] = [s for s in await stranger(tmp_path, environment, "--states") if s["run_id"] == run_id]
            return found

        latest = await state()
        while latest["status"] == "running":  # the API has said it to REST; the topic hears it a moment later
            latest = await state()
        assert (latest["status"], latest["seq"]) == ("success", len(told))
        assert latest["revision"] >= latest["seq"]
        assert latest["totals"]["files_done"] == run["metrics"]["files_processed"] == len(sample_json_files)
        assert latest["snapshot_count"] == len(run["snapshots"])
        destination = ingestion["destination"]
        assert latest["table"] == f"{destination['catalog']}.{destination['database']}.{destination['table']}"
