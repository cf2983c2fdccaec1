"""A table that is loaded anew while its readers go on: they see the old rows until they see the new ones."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from client.rest import problem_of
from tests.e2e.helpers import (
    JsonFile,
    NewIngestion,
    get_table_identifier,
    put,
    run_to_end,
    upload_json_files,
    verify_table_data,
    wait_for_run_completion,
)
from tests.e2e.records import ndjson, record

pytestmark = [pytest.mark.e2e, pytest.mark.requires_spark, pytest.mark.requires_minio]

BAD_KEY = "data/zz_broken.json"
REPLACED_WITHIN_S = 120.0


async def _swap(api_client: httpx.AsyncClient, ingestion_id: str) -> dict[str, Any]:
    body = {"confirm": True, "strategy": "swap"}
    answer = await api_client.post(f"/api/v1/ingestions/{ingestion_id}/refresh/full", json=body)
    assert answer.status_code == 202, problem_of(answer)
    return await _said(api_client, answer.json())


async def _said(api_client: httpx.AsyncClient, refresh: dict[str, Any]) -> dict[str, Any]:
    """The refresh, as soon as the executor has said what it did: the answer to the request waits some seconds only."""
    deadline = time.monotonic() + REPLACED_WITHIN_S
    while refresh["operations"][0]["status"] == "pending":
        assert time.monotonic() < deadline, f"The executor should have said something by now: {refresh}"
        await asyncio.sleep(0.2)
        refresh = await _refresh(api_client, refresh)
    return refresh


async def _refresh(api_client: httpx.AsyncClient, refresh: dict[str, Any]) -> dict[str, Any]:
    path = f"/api/v1/ingestions/{refresh['ingestion_id']}/refresh/{refresh['refresh_id']}"
    found: dict[str, Any] = (await api_client.get(path)).json()
    return found


def _status(refresh: dict[str, Any], name: str) -> str:
    return str(next(done["status"] for done in refresh["operations"] if done["operation"] == name))


async def _replaced(api_client: httpx.AsyncClient, refresh: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + REPLACED_WITHIN_S
    while _status(found := await _refresh(api_client, refresh), "table_replaced") != "success":
        assert time.monotonic() < deadline, f"The rows should be in place by now: {found}"
        await asyncio.sleep(0.2)
    return found


@contextmanager
def _reader(url: str, table: str) -> Iterator[list[int]]:
    """Somebody who counts the rows again and again, in a session of their own. An error ends the test."""
    seen: list[int] = []
    errors: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        spark = SparkSession.builder.remote(url).create()
        try:
            while not done.is_set():
                spark.sql(f"REFRESH TABLE {table}").collect()
                seen.append(int(spark.sql(f"SELECT count(*) AS n FROM {table}").collect()[0]["n"]))
        except Exception as e:  # noqa: BLE001 - told below, by the thread that asserts
            errors.append(e)
        finally:
            spark.stop()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
    assert not errors, f"A reader met an error: {errors[0]}"


class TestSwap:
    async def test_readers_see_the_old_rows_and_then_the_new_ones(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        spark_connect_url: str,
        new_ingestion: NewIngestion,
    ) -> None:
        """Two more files have landed when a table of three is loaded anew. Later somebody undoes it.

        Success criteria:
        - a reader who counts all the time sees the old number, then the new one, and nothing else; never an error
        - ledger and table agree, and the next run loads only what landed since
        - the undo brings the old rows back, and the next run loads what they lack
        """
        files, records = len(sample_json_files), sum(file["records"] for file in sample_json_files)
        each = sample_json_files[0]["records"]
        ingestion = await new_ingestion("swapped")
        table = get_table_identifier(ingestion)
        await run_to_end(api_client, ingestion["id"])
        await upload_json_files(minio_client, test_bucket, files, 2, each)
        with _reader(spark_connect_url, table) as seen:
            refresh = await _swap(api_client, ingestion["id"])
            assert ["skipped", "success", "success", "pending"] == [o["status"] for o in refresh["operations"]]
            assert [] == refresh["warnings"]
            second = await api_client.post(f"/api/v1/ingestions/{ingestion['id']}/refresh/full", json={"confirm": True})
            assert (409, True) == (second.status_code, "refresh" in second.json()["code"])
            await wait_for_run_completion(api_client, ingestion["id"], refresh["run_id"], poll_interval=0.2)
            done = await _replaced(api_client, refresh)
        assert {records, records + 2 * each} >= set(seen)
        assert sorted(seen) == seen
        assert "accepted" == done["status"]
        await verify_table_data(spark_session, table, records + 2 * each)
        await upload_json_files(minio_client, test_bucket, files + 2, 1, each)
        run = await run_to_end(api_client, ingestion["id"])
        assert (1, files + 2) == (run["metrics"]["files_processed"], run["metrics"]["files_skipped"])
        await verify_table_data(spark_session, table, records + 3 * each)
        await _is_clean(api_client, ingestion["id"])

        path = f"/api/v1/ingestions/{ingestion['id']}/refresh/{refresh['refresh_id']}/undo"
        undone = await _said(api_client, (await api_client.post(path)).json())

        assert ["skipped", "success"] == [operation["status"] for operation in undone["operations"]]
        await verify_table_data(spark_session, table, records)
        await _is_clean(api_client, ingestion["id"])
        run = await run_to_end(api_client, ingestion["id"])
        assert (3, files) == (run["metrics"]["files_processed"], run["metrics"]["files_skipped"])
        await verify_table_data(spark_session, table, records + 3 * each)

    async def test_a_reload_that_fails_leaves_the_old_rows_until_it_is_mended(
        self,
        api_client: httpx.AsyncClient,
        minio_client: Any,
        test_bucket: str,
        sample_json_files: list[JsonFile],
        spark_session: SparkSession,
        new_ingestion: NewIngestion,
    ) -> None:
        """A file that landed since is broken. It is written again, and the run is retried.

        Success criteria:
        - after the failed run readers see the old rows, and the refresh says what to do
        - a new refresh is refused, with the way out; an audit of the table that is being built is clean
        - the retry completes it: all rows, each once
        """
        records = sum(file["records"] for file in sample_json_files)
        ingestion = await new_ingestion("mended", quality={"on_error": "skip_file"})
        path, table = f"/api/v1/ingestions/{ingestion['id']}", get_table_identifier(ingestion)
        await run_to_end(api_client, ingestion["id"])
        await put(minio_client, test_bucket, BAD_KEY, b"this is not JSON\n")

        refresh = await _swap(api_client, ingestion["id"])
        failed = await wait_for_run_completion(
            api_client, ingestion["id"], refresh["run_id"], poll_interval=0.2, expected_status="partial"
        )

        await verify_table_data(spark_session, table, records)
        waits = (await _refresh(api_client, refresh))["operations"][-1]
        assert ("table_replaced", "pending") == (waits["operation"], waits["status"])
        assert f"{path}/runs/{failed['id']}/retry" in waits["details"]
        refused = await api_client.post(f"{path}/refresh/full", json={"confirm": True})
        assert (409, "refresh_building") == (refused.status_code, refused.json()["code"])
        await _is_clean(api_client, ingestion["id"])
        await put(minio_client, test_bucket, BAD_KEY, ndjson(record(90_000 + i) for i in range(3)))
        retry = (await api_client.post(f"{path}/runs/{failed['id']}/retry")).json()
        await wait_for_run_completion(api_client, ingestion["id"], retry["run_id"], poll_interval=0.2)
        await _replaced(api_client, refresh)
        await verify_table_data(spark_session, table, records + 3)
        await _is_clean(api_client, ingestion["id"])


async def _is_clean(api_client: httpx.AsyncClient, ingestion_id: str) -> None:
    """Bucket, ledger and table agree, of the file that is broken no more than that."""
    asked = await api_client.post(f"/api/v1/ingestions/{ingestion_id}/audit")
    deadline = time.monotonic() + REPLACED_WITHIN_S
    while (found := (await api_client.get(asked.headers["Location"])).json())["status"] not in ("done", "failed"):
        assert time.monotonic() < deadline, f"The audit should be over by now: {found}"
        await asyncio.sleep(0.2)
    report = found["report"]
    assert [0, 0, 0] == [report[kind]["count"] for kind in ("duplicated", "orphaned", "miscounted")], report
    assert report["sides"]["ledger"] == report["sides"]["table"], report
