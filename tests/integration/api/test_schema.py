"""Looking at the columns of a table over REST: what they are, and how they came to be."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.common.ids import IngestionId, RunId, new_batch_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model import Column, Evidence, Page, PlannedBatch, PublishedBatch
from libs.common.ledger.scans import ScanLedger
from libs.common.storage.outbox import Outbox
from tests.integration.api.harness import INGESTIONS, ApiUnderTest

pytestmark = pytest.mark.asyncio
LONG = timedelta(minutes=5)
FIRST = (Column("id", "int"), Column("meta", "struct<`a`: int>"))
SECOND = (Column("id", "bigint"), Column("meta", "struct<`a`: int, `b`: string>"))
SEEN = (Evidence("id", "s3://landing/b.json", "1099511627776"), Evidence("meta.b", "s3://landing/b.json", '"x\x00y"'))


async def loaded(api: ApiUnderTest) -> tuple[str, str]:
    """Two batches of one run: the second one let the columns grow."""
    ingestion_id = (await api.create())["id"]
    run_id = await api.request_run(ingestion_id)
    out = Outbox(source="autoloader/test")
    scanner = ScanLedger(api.database, out, owner="s", lease=LONG)
    executor = BatchLedger(api.database, out, owner="e", lease=LONG)
    scan = await scanner.claim(RunId(UUID(run_id)), IngestionId(UUID(ingestion_id)), 1)
    assert scan is not None
    files = [api.objects.put("landing", f"flights/{name}.json", b"{}\n") for name in "ab"]
    batches = [PlannedBatch(new_batch_id(), (file,)) for file in files]
    await scanner.complete(scan, Page(taken=tuple(files), batches=tuple(batches)), ())
    published = (
        PublishedBatch(1, 1, FIRST, mode="add_new_columns"),
        PublishedBatch(2, 1, SECOND, "b.json", evidence=SEEN, mode="add_new_columns_with_type_widening"),
    )
    for batch, file, found in zip(batches, files, published, strict=True):
        claim = await executor.claim(batch.id)
        assert claim is not None
        await executor.staged(claim, {file.digest: 1})
        await executor.published(claim, found)
    return ingestion_id, run_id


async def asked(api: ApiUnderTest, ingestion_id: str, what: str = "") -> Any:
    answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/schema{what}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_columns_are_those_of_the_last_batch_that_changed_them(api: ApiUnderTest) -> None:
    """With what becomes of fields that they lack."""
    ingestion_id, _ = await loaded(api)
    shown = await asked(api, ingestion_id)
    assert [c.as_json() for c in SECOND] == shown["columns"]
    assert (2, 1, "add_new_columns") == tuple(shown[name] for name in ("version", "generation", "mode"))


async def test_before_anything_is_loaded_there_are_none(api: ApiUnderTest) -> None:
    """That is no error."""
    ingestion_id = (await api.create())["id"]
    shown = await asked(api, ingestion_id)
    assert (None, [], None) == tuple(shown[name] for name in ("version", "columns", "since"))
    assert [] == await asked(api, ingestion_id, "/versions")


async def test_each_version_says_what_changed_and_why(api: ApiUnderTest) -> None:
    """Newest first; the file and the value that asked for it, as far as Postgres can hold them."""
    ingestion_id, run_id = await loaded(api)
    second, first = await asked(api, ingestion_id, "/versions")
    assert (2, run_id, "add_new_columns_with_type_widening") == (second["version"], second["run_id"], second["mode"])
    told = {"kind": "added", "column": "meta.b", "type": "string", "before": None, "file": "s3://landing/b.json"}
    assert told == {name: value for name, value in second["changes"][1].items() if name != "example"}
    assert "x" in second["changes"][1]["example"]
    wider = {"kind": "changed", "column": "id", "type": "bigint", "before": "int"}
    assert {**wider, "file": "s3://landing/b.json", "example": "1099511627776"} == second["changes"][0]
    assert [("added", "id", None), ("added", "meta", None)] == [
        (c["kind"], c["column"], c["file"]) for c in first["changes"]
    ]
    assert first == await asked(api, ingestion_id, "/versions/1")


async def test_a_version_that_never_was_is_404(api: ApiUnderTest) -> None:
    """With where to look."""
    ingestion_id, _ = await loaded(api)
    answer = await api.client.get(f"{INGESTIONS}/{ingestion_id}/schema/versions/3")
    assert (404, "unknown_schema_version") == (answer.status_code, answer.json()["code"])
    assert "/schema/versions" in answer.json()["hint"]
