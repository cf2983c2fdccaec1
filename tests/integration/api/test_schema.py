"""Looking at the columns of a table over REST: what they are, and how they came to be."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.common.ids import IngestionId, RunId, new_batch_id
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.column_decisions import decisions
from libs.common.ledger.model.batches import PlannedBatch, PublishedBatch
from libs.common.ledger.model.columns import Column, Decisions, Evidence, Proposal
from libs.common.ledger.model.scans import Page
from libs.common.ledger.scans import ScanLedger
from libs.common.storage.outbox import Outbox
from tests.integration.api.harness import INGESTIONS, ApiUnderTest

pytestmark = pytest.mark.asyncio
LONG = timedelta(minutes=5)
FIRST = (Column("id", "int"), Column("meta", "struct<`a`: int>"))
SECOND = (Column("id", "bigint"), Column("meta", "struct<`a`: int, `b`: string>"))
SEEN = (Evidence("id", "s3://landing/b.json", "1099511627776"), Evidence("meta.b", "s3://landing/b.json", '"x\x00y"'))


NEW = (Proposal("region", "string", "s3://landing/c.json", '"emea"'), Proposal("meta.c", "date"))


async def loaded(api: ApiUnderTest, proposals: tuple[Proposal, ...] = ()) -> tuple[str, str]:
    """Two batches of one run: the second one let the columns grow. Both met fields that wait for a decision."""
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
        await executor.propose(claim, proposals)
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


async def told(api: ApiUnderTest, ingestion_id: str, what: str, body: Any, **headers: str) -> tuple[int, Any]:
    answer = await api.client.post(f"{INGESTIONS}/{ingestion_id}/schema/{what}", json=body, headers=headers)
    return answer.status_code, answer.json()


async def test_new_columns_wait_until_somebody_decides(api: ApiUnderTest) -> None:
    """Each is proposed once, with a value to look at; what is decided is known to the next batch."""
    ingestion_id, run_id = await loaded(api, NEW)
    held = {c["column"]: c for c in (await asked(api, ingestion_id))["held"]}
    assert {"region", "meta.c"} == held.keys()
    assert ("string", "s3://landing/c.json", '"emea"', run_id) == tuple(
        held["region"][name] for name in ("type", "file", "example", "run_id")
    )
    status, shown = await told(api, ingestion_id, "approve", {"columns": ["region"]})
    assert (200, ["meta.c"], []) == (status, [c["column"] for c in shown["held"]], shown["rejected"])
    status, shown = await told(api, ingestion_id, "reject", {})
    assert (200, [], ["meta.c"]) == (status, shown["held"], shown["rejected"])
    async with api.database.read() as connection:
        decided = await decisions(connection, UUID(ingestion_id))
    assert Decisions(frozenset({"region"}), frozenset({"meta.c"})) == decided
    assert (409, "nothing_held") == ((answer := await told(api, ingestion_id, "approve", {}))[0], answer[1]["code"])


async def test_somebody_may_think_again(api: ApiUnderTest) -> None:
    """A rejected field is approved, and a column of the table rejected; the same request twice is answered once."""
    ingestion_id, _ = await loaded(api, NEW)
    await told(api, ingestion_id, "reject", {"columns": ["region", "id"]})
    assert ["id", "region"] == (await asked(api, ingestion_id))["rejected"]
    once = {"Idempotency-Key": "k1"}
    first = await told(api, ingestion_id, "approve", {"columns": ["id"]}, **once)
    await told(api, ingestion_id, "reject", {"columns": ["id"]})
    assert first == await told(api, ingestion_id, "approve", {"columns": ["id"]}, **once)
    assert ["id", "region"] == (await asked(api, ingestion_id))["rejected"]


async def test_a_column_that_nobody_knows_is_422(api: ApiUnderTest) -> None:
    """So is one of Autoloader's own."""
    ingestion_id, _ = await loaded(api)
    for name in ("nobody", "_file_path", "a..b"):
        status, answer = await told(api, ingestion_id, "reject", {"columns": ["id", name]})
        assert (422, "unknown_column") == (status, answer["code"])
    assert [] == (await asked(api, ingestion_id))["rejected"]


async def test_back_to_an_earlier_version(api: ApiUnderTest) -> None:
    """What was added since is rejected; what cannot be taken back is told; the way there is free as well."""
    ingestion_id, _ = await loaded(api)
    status, shown = await told(api, ingestion_id, "rollback", {"version": 1})
    assert (200, []) == (status, shown["rejected"])
    assert [("changed", "id"), ("added", "meta.b")] == [(c["kind"], c["column"]) for c in shown["kept"]]
    await told(api, ingestion_id, "reject", {"columns": ["meta"]})
    status, shown = await told(api, ingestion_id, "rollback", {"version": 2})
    assert (200, [], []) == (status, shown["rejected"], shown["kept"])
    status, answer = await told(api, ingestion_id, "rollback", {"version": 3})
    assert (404, "unknown_schema_version") == (status, answer["code"])
