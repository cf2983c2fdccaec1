"""A bucket that is listed by several requests at once shows what it shows page by page."""

import pytest

from libs.common.objects.s3 import S3Objects
from libs.common.objects.side_by_side import Pace
from tests.contract.objects.conftest import access_of_minio
from tests.contract.objects.test_object_store import SPECIAL
from tests.contract.objects.worlds import MinioStore, listed

pytestmark = [pytest.mark.contract, pytest.mark.requires_minio]
FOLDERS = (
    "year=2024/month=01/",
    "year=2024/month=02/",
    "year=2025/month=01/",
    "größe/",
    "a b/",
    "a-b/",
    "a/",
    "a/b/",
    "z/",
)


@pytest.mark.parametrize("store", ["minio"], indirect=True)
@pytest.mark.parametrize("page_keys", [1, 2, 3, 7])
async def test_a_place_is_the_same_wherever_its_answers_end(store: MinioStore, bucket: str, page_keys: int) -> None:
    """Between folders whose names begin alike, too."""
    await store.put(bucket, [f"in/{folder}{n}" for folder in FOLDERS for n in range(3)] + ["in/0", "in/a!", "in/zz"])
    expected = await store.objects.place(bucket, "in/", store.access)
    objects = S3Objects(pace=Pace(page_keys=page_keys))
    try:
        assert expected == await objects.place(bucket, "in/", access_of_minio())
    finally:
        await objects.close()
    assert expected is not None
    assert sorted({f"in/{folder.split('/')[0]}/" for folder in FOLDERS}, key=str.encode) == list(expected.folders)


@pytest.mark.parametrize("store", ["minio"], indirect=True)
@pytest.mark.parametrize("prefix", ["", "in/", "in/year=2024/", "in/year"])
async def test_all_objects_come_once_wherever_a_listing_is_cut(store: MinioStore, bucket: str, prefix: str) -> None:
    """After each page, at folders under whatever names, inside of one folder or between many."""
    inside = [f"in/{folder}{n:02}.json" for folder in FOLDERS for n in range(20)]
    await store.put(bucket, [*SPECIAL, *inside, "in/0.json", "in/zz.json", "in/year=2024/zz.json", "in/a/b/zz.json"])
    expected = sorted((f for page in await listed(store, bucket, prefix) for f in page), key=lambda f: f.key)
    pieces = []
    for at_once in (1, 2, 4):
        objects = S3Objects(pace=Pace(at_once, pages=1, slow_s=0, page_keys=7))
        try:
            stretches = [s async for some in objects.stretches(bucket, [prefix], access_of_minio()) for s in some]
        finally:
            await objects.close()
        assert expected == sorted((f for s in stretches for f in s.read()), key=lambda f: f.key)
        pieces.append(len(stretches))
    assert pieces[0] < pieces[1] <= pieces[2], "a cut ends a stretch"
