"""What loading would take and cost: asked before anything is made."""

from typing import Any

import httpx
import pytest

from client.rest import problem_of
from tests.e2e.helpers import standard_definition, upload_json_files

pytestmark = [pytest.mark.e2e, pytest.mark.requires_minio]


class TestEstimates:
    async def test_more_files_cost_more_and_nothing_is_made(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        minio_config: dict[str, str],
        test_bucket: str,
        test_cluster_id: str,
    ) -> None:
        """Somebody asks before there is an ingestion, and again after more files have landed.

        Success criteria:
        - files and bytes are those of the bucket, and what it costs is the sum of its parts
        - with more files it takes longer and costs more
        - what it rests on is said, and no ingestion is there afterwards
        """
        definition = standard_definition(test_cluster_id, test_bucket, minio_config, "nothing_is_made_of_this")

        async def estimated() -> dict[str, Any]:
            answer = await api_client.post("/api/v1/ingestions/estimate-cost", json=definition)
            assert answer.status_code == 200, problem_of(answer)
            body: dict[str, Any] = answer.json()
            return body

        files = await upload_json_files(minio_client, test_bucket, 0, 2)
        few = await estimated()
        assert few["files_to_process"] == 2
        assert few["estimated_data_size_gb"] == pytest.approx(sum(file["size"] for file in files) / 1e9)
        parts = few["breakdown"]
        assert few["estimated_cost_usd"] == pytest.approx(parts["compute_usd"] + parts["requests_usd"])
        assert few["assumptions"]["cores"] >= 1

        await upload_json_files(minio_client, test_bucket, 2, 3)
        more = await estimated()
        assert more["files_to_process"] == 5
        for number in ("estimated_cost_usd", "estimated_duration_minutes"):
            assert more[number] > few[number] > 0

        listed = (await api_client.get("/api/v1/ingestions")).json()
        assert test_bucket not in str([each["source"]["path"] for each in listed])
