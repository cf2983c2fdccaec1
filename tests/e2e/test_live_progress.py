"""Somebody watches a run with one request: its state is told as it changes, until it is over."""

import json
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from client.answers import FINAL_STATUSES
from tests.e2e.environment import Environment
from tests.e2e.helpers import (
    NewIngestion,
    assert_run_metrics,
    get_run,
    trigger_run,
    upload_json_files,
)
from tests.support.sse import events

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

FILES, RECORDS = 4, 20


class TestLiveProgress:
    async def test_a_run_is_told_from_request_to_end(
        self,
        api_client: httpx.AsyncClient,
        environment: Environment,
        minio_client: Any,
        test_bucket: str,
        new_ingestion: NewIngestion,
    ) -> None:
        """Four batches of one file; a dashboard listens, loses its connection, and comes back.

        Success criteria:
        - the numbers only grow, and several of the states in between are told
        - who comes back with the id of an event is told only what is newer
        - the last event is the run as it is shown, and afterwards there is nothing more to come back for
        """
        await upload_json_files(minio_client, test_bucket, 0, FILES, records_per_file=RECORDS)
        ingestion = await new_ingestion("live", source={"max_files_per_trigger": 1})
        run_id = await trigger_run(api_client, ingestion["id"])
        path = f"/api/v1/ingestions/{ingestion['id']}/runs/{run_id}/events"

        heard = []
        async with httpx.AsyncClient(base_url=environment.api_url) as listening:
            async with aclosing(events(listening, path)) as stream:
                async for event in stream:
                    heard.append(event)
                    if json.loads(event.data)["progress"]["files_done"] > 0:
                        break  # the connection is lost
            before = int(heard[-1].id)
            resumed = [event async for event in events(listening, path, after=str(before))]
        assert all(int(event.id) > before for event in resumed)

        told = [json.loads(event.data) for event in (*heard, *resumed)]
        done = [run["progress"]["files_done"] for run in told]
        assert done == sorted(done)
        assert len(set(done)) > 2, f"states in between are told: {done}"
        assert [run["status"] in FINAL_STATUSES for run in told] == [False] * (len(told) - 1) + [True]
        assert ["progress"] * (len(told) - 1) + ["end"] == [event.name for event in (*heard, *resumed)]
        assert_run_metrics(told[-1], expected_files=FILES, expected_records=FILES * RECORDS)
        assert await get_run(api_client, ingestion["id"], run_id) == told[-1]

        over = await api_client.get(path, headers={"Last-Event-ID": resumed[-1].id})
        assert over.status_code == 204
