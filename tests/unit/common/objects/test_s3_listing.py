"""Stores that list otherwise than S3: their listings are not parted, or say that they cannot be."""

from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.common.errors import Temporary
from libs.common.objects.s3_listing import S3Listing
from libs.common.objects.side_by_side import Part

PREFIX = "in/"


class Client:
    """Gives the same answer to every question."""

    def __init__(self, keys: Sequence[str] = (), folders: Sequence[str] = (), *, is_cut: bool = False) -> None:
        self._answer = {
            "Contents": [
                {"Key": key, "ETag": '"e"', "Size": 1, "LastModified": datetime(2026, 1, 1, tzinfo=UTC)} for key in keys
            ],
            "CommonPrefixes": [{"Prefix": folder} for folder in folders],
            "IsTruncated": is_cut,
            "NextContinuationToken": "more",
        }

    async def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        return self._answer

    def listing(self, bucket: str = "b") -> S3Listing:
        async def opened() -> Client:
            return self

        return S3Listing(opened, nullcontext, bucket)


async def test_a_place_has_its_folders_and_the_objects_that_are_ahead() -> None:
    """In order."""
    place = await Client(["in/a", "in/c", "in/d"], ["in/a/", "in/b/"]).listing().look(PREFIX, "in/a/x")
    assert place is not None
    assert ["in/a/", "in/b/"] == place.folders
    assert ["in/c", "in/d"] == [f.key for stretch in place.beside for f in stretch.read()]


@pytest.mark.parametrize(
    ("client", "bucket"),
    [
        (Client(folders=["in/a/", "in/a-b/"]), "b"),
        (Client(folders=["in/a/", "in/a/"]), "b"),
        (Client(["in/b", "in/a"], ["in/c/"]), "b"),
        (Client(["in/a/1"], ["in/c/"]), "b"),
        (Client(folders=["in/a/b/"]), "b"),
        (Client(folders=["in/a"]), "b"),
        (Client(folders=["other/a/"]), "b"),
        (Client(folders=["in/\ufffd/"]), "b"),
        (Client(folders=["in/a/"], is_cut=True), "b"),
        (Client(folders=["in/a/"]), "landing--use1-az4--x-s3"),
    ],
)
async def test_what_is_told_otherwise_is_no_place(client: Client, bucket: str) -> None:
    """Other orders, other depths, bytes that were lost, an answer that is not whole, buckets that promise no order."""
    assert await client.listing(bucket).look(PREFIX, "") is None


async def test_a_part_whose_keys_do_not_lie_together_is_an_error() -> None:
    """What lies behind the others would be lost."""
    pages: AsyncIterator[Any] = Client(["in/a/1", "in/b/1", "in/a/2"]).listing().walk(Part(PREFIX, inside="in/a/"))
    with pytest.raises(Temporary, match="order"):
        [_ async for _ in pages]
