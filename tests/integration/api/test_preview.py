"""Previews over REST: of a definition that is not stored."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from libs.common.contracts.definition import Credentials
from libs.common.errors import Invalid, Temporary
from libs.common.ids import TenantId
from libs.common.ledger.model.files import FileVersion
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.ingestions.schemas import IngestionIn
from services.api.preview.bounds import Bounds
from services.api.preview.handlers import Previews
from tests.integration.api.harness import INGESTIONS, ApiUnderTest, definition
from tests.support.memory_objects import MemoryObjects

pytestmark = pytest.mark.asyncio
BUCKET, PREFIX = definition()["source"]["path"].removeprefix("s3://").split("/", 1)


def land(objects: MemoryObjects, name: str, *records: dict[str, Any]) -> None:
    objects.put(BUCKET, PREFIX + name, b"".join(json.dumps(r).encode() + b"\n" for r in records))


async def previewed(api: ApiUnderTest, **headers: str) -> httpx.Response:
    return await api.client.post(f"{INGESTIONS}/test", json=definition(), headers=headers)


async def bounded(api: ApiUnderTest, bounds: Bounds, objects: MemoryObjects | None = None) -> dict[str, Any]:
    """The answer under other bounds."""
    store = objects or api.objects
    previews = Previews(api.database, Clusters({"local": "sc://localhost:15002"}), lambda: store, bounds)
    sent = IngestionIn.model_validate(definition())
    return (await previews.preview(Caller(TenantId(api.tenant_id)), sent, None)).body


async def test_a_definition_is_previewed_and_not_stored(api: ApiUnderTest) -> None:
    """Files, columns, rows and warnings."""
    land(api.objects, "a.json", {"id": 1, "v": 0.5}, {"id": 2})
    land(api.objects, "b.json", {"id": 3, "v": 2})
    land(api.objects, "notes.txt")
    answer = await previewed(api)
    body = answer.json()
    assert (200, 2, 3) == (answer.status_code, body["file_count"], body["files"]["objects"])
    assert [("id", "bigint", 2), ("v", "double", 2)] == [(c["name"], c["type"], c["files"]) for c in body["schema"]]
    assert [{"id": 1, "v": 0.5}, {"id": 2, "v": None}, {"id": 3, "v": 2.0}] == body["sample_rows"]
    assert [] == body["warnings"]
    assert [] == (await api.client.get(INGESTIONS)).json()


@pytest.mark.parametrize(
    ("format_", "kind"),
    [
        ({"type": "csv"}, "csv files"),
        ({"type": "text"}, "text files"),
        ({"type": "json", "options": {"multiline": True}}, "JSON documents"),
    ],
)
async def test_formats_that_a_preview_has_no_eyes_for_are_listed_alone(
    api: ApiUnderTest, format_: dict[str, Any], kind: str
) -> None:
    """No columns are better than wrong ones; a warning says when they come."""
    land(api.objects, "a.json", {"id": 1})
    body = (await api.client.post(f"{INGESTIONS}/test", json={**definition(), "format": format_})).json()
    assert (1, [], []) == (body["file_count"], body["schema"], body["sample_rows"])
    [warning] = body["warnings"]
    assert "not_looked_into" == warning["code"]
    assert f"does not look into {kind}" in warning["message"]


async def test_an_empty_place_is_a_warning_and_no_error(api: ApiUnderTest) -> None:
    """Files may come later."""
    api.objects.create_bucket(BUCKET)
    body = (await previewed(api)).json()
    assert (0, [], ["nothing_there"]) == (body["file_count"], body["schema"], [w["code"] for w in body["warnings"]])


async def test_a_source_that_cannot_be_read_is_refused_with_the_reason(api: ApiUnderTest) -> None:
    """422 with the store's word."""
    answer = await previewed(api)
    assert (422, "bucket_not_found") == (answer.status_code, answer.json()["code"])
    land(api.objects, "a.json", {"id": 1})
    api.objects.access = Credentials(aws_access_key_id="only", aws_secret_access_key="these")
    answer = await previewed(api)
    assert (422, "access_denied") == (answer.status_code, answer.json()["code"])


class Slow(MemoryObjects):
    """Answers the first page, and then nothing more; files in ``stuck`` never come."""

    stuck: frozenset[str] = frozenset()
    stops_before = 2

    async def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[FileVersion]]:
        number = 0
        async for page in super().pages(bucket, prefix, credentials):
            number += 1
            if number >= self.stops_before:
                await asyncio.Event().wait()
            yield page

    async def first_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        if file.key in self.stuck:
            await asyncio.Event().wait()
        return await super().first_bytes(file, size_max, credentials)


QUICK = Bounds(seconds=0.5)


async def test_a_listing_that_takes_too_long_is_used_as_far_as_it_came(api: ApiUnderTest) -> None:
    """And says so; where not even one page came, the request is refused."""
    slow = Slow(page_size=1)
    land(slow, "a.json", {"id": 1})
    land(slow, "b.json", {"id": 2})
    body = await bounded(api, QUICK, slow)
    assert (1, False) == (body["file_count"], body["files"]["is_complete"])
    assert "listing_cut" in [w["code"] for w in body["warnings"]]
    slow.stops_before = 1
    with pytest.raises(Invalid) as caught:
        await bounded(api, QUICK, slow)
    assert "listing_too_long" == caught.value.code


async def test_files_that_do_not_come_in_time_are_left_out(api: ApiUnderTest) -> None:
    """What came is shown."""
    slow = Slow()
    slow.stuck = frozenset({PREFIX + "a.json"})
    land(slow, "a.json", {"id": 1})
    land(slow, "b.json", {"id": 2})
    body = await bounded(api, QUICK, slow)
    assert ([{"id": 2}], 1) == (body["sample_rows"], body["sample"]["files"])
    assert "sample_cut" in [w["code"] for w in body["warnings"]]


async def test_no_more_is_read_than_the_bounds_allow(api: ApiUnderTest) -> None:
    """Bytes of a file, lines of a file, files; and the answer says so."""
    for n in range(30):
        land(api.objects, f"{n:02}.json", *({"id": i} for i in range(100)))
    body = await bounded(api, Bounds(files=4, size_bytes=200, lines=10))
    assert (4, 40, 800) == tuple(body["sample"][name] for name in ("files", "records", "bytes_read"))
    assert ["sample_is_a_part"] == [w["code"] for w in body["warnings"]]


async def test_a_file_that_went_meanwhile_is_told(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no error of the definition."""
    land(api.objects, "a.json", {"id": 1})

    async def gone(*_: object) -> None:
        return None

    monkeypatch.setattr(api.objects, "first_bytes", gone)
    (warning,) = (await previewed(api)).json()["warnings"]
    assert "changed or deleted" in warning["message"]


async def test_a_store_that_fails_while_it_is_read_is_told(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """422, as when it is away from the start."""
    land(api.objects, "a.json", {"id": 1})

    async def away(*_: object) -> bytes:
        raise Temporary("the store does not answer", code="storage_unreachable")

    monkeypatch.setattr(api.objects, "first_bytes", away)
    answer = await previewed(api)
    assert (422, "storage_unreachable") == (answer.status_code, answer.json()["code"])


async def test_the_same_key_gets_the_same_preview(api: ApiUnderTest) -> None:
    """Although a file landed meanwhile; also of values that a database cannot hold."""
    land(api.objects, "a.json", {"text": "a\0b\ud800", "list": ["\0"]})
    first = await previewed(api, **{"Idempotency-Key": "once"})
    assert 200 == first.status_code, first.text
    land(api.objects, "b.json", {"id": 1})
    assert first.json() == (await previewed(api, **{"Idempotency-Key": "once"})).json()
    assert 2 == (await previewed(api)).json()["file_count"]
