"""What became of a file: asked over REST, after real runs."""

from typing import Any

import httpx
import pytest

from client.rest import problem_of
from tests.e2e.helpers import (
    NewIngestion,
    put,
    run_to_end,
    upload_json_files,
)

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

RECORDS = 20
BROKEN_KEY = "data/broken.json"


async def read(api_client: httpx.AsyncClient, path: str, **params: str) -> Any:
    """Gets a path below ``/ingestions``."""
    response = await api_client.get(f"/api/v1/ingestions/{path}", params=params)
    assert response.status_code == 200, problem_of(response)
    return response.json()


class TestFiles:
    async def test_every_file_can_be_asked_about(
        self, api_client: httpx.AsyncClient, minio_client: Any, test_bucket: str, new_ingestion: NewIngestion
    ) -> None:
        """Two files load, one is broken, one has another ending, and one lands after the run.

        Success criteria:
        - the list tells rows, snapshot and reason of each, and can be filtered
        - each key has its verdict, with the line that is to blame where there is one
        - after the next run the late file is loaded
        """
        await upload_json_files(minio_client, test_bucket, 0, 2, records_per_file=RECORDS)
        await put(minio_client, test_bucket, BROKEN_KEY, b"this is not JSON\n")
        await put(minio_client, test_bucket, "data/notes.txt", b"to whom it may concern\n")
        ingestion = await new_ingestion("files", quality={"on_error": "skip_file"})
        run = await run_to_end(api_client, ingestion["id"], expected_status="partial")

        files = {file["key"]: file for file in await read(api_client, f"{ingestion['id']}/files")}
        assert set(files) == {"data/batch_0.json", "data/batch_1.json", BROKEN_KEY}
        assert [files[f"data/batch_{n}.json"]["records"] for n in (0, 1)] == [RECORDS, RECORDS]
        assert {files[f"data/batch_{n}.json"]["snapshot_id"] for n in (0, 1)} == set(run["snapshots"])
        [failed] = await read(api_client, f"{ingestion['id']}/files", state="failed")
        assert (failed["key"], failed["error_type"]) == (BROKEN_KEY, "unparsable_file")

        await upload_json_files(minio_client, test_bucket, 2, 1, records_per_file=RECORDS)
        explain = f"{ingestion['id']}/files/explain"
        verdicts = {
            key: (await read(api_client, explain, key=key))["verdict"]
            for key in ("data/batch_0.json", BROKEN_KEY, "data/notes.txt", "data/batch_2.json", "data/batch_9.json")
        }
        assert list(verdicts.values()) == ["loaded", "failed", "excluded", "never_seen", "never_seen"]
        broken = await read(api_client, explain, key=f"s3://{test_bucket}/{BROKEN_KEY}")
        assert any("line" in told for told in broken["evidence"])
        assert "repair the file" in broken["next_action"]

        await run_to_end(api_client, ingestion["id"])
        late = await read(api_client, explain, key="data/batch_2.json")
        assert (late["verdict"], late["versions"][0]["records"]) == ("loaded", RECORDS)
