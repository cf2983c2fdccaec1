"""When a batch is read as the folder that it fills, and when path by path."""

import pytest

from libs.common.errors import Permanent
from services.executor.adapters.folders import Folders
from services.executor.domain.folders import FILES_MIN, STRANGERS_MAX, folder_of
from tests.support.memory_objects import MemoryObjects


def objects_with(*keys: str) -> MemoryObjects:
    objects = MemoryObjects()
    objects.create_bucket("b")
    for key in keys:
        objects.put("b", key)
    return objects


def named(form: str, count: int = FILES_MIN) -> list[str]:
    return [form.format(n) for n in range(count)]


@pytest.mark.parametrize(
    ("keys", "folder"),
    [
        (named("in/{:03}.json"), "in/"),
        (named("in/day={:03}/x.json"), "in/"),
        ([*named("in/a/{}.json"), "in/b.json"], "in/"),
        ([*named("in/a/{}.json"), "in/ab/1.json"], "in/"),
        ([*named("in/a{}"), "in/a/b.json"], "in/"),
        (named("in/{}.json", FILES_MIN - 1), None),
        (named("{}.json"), None),
        ([*named("in/{}.json"), "in/_hidden.json"], None),
        ([*named("in/{}.json"), "in/.hidden/a.json"], None),
        ([*named("in/{}.json"), "in/a._COPYING_"], None),
        ([*named("in/{}.json"), "in//a.json"], None),
        ([*named("in/{}.json"), "in/a /b.json"], None),
    ],
)
def test_a_folder_is_the_nearest_that_has_all_files_where_a_listing_sees_them(
    keys: list[str], folder: str | None
) -> None:
    """A key that Spark's listing would pass over, or name in another way, is read under its path."""
    files = list(objects_with(*keys).buckets["b"].values())
    assert folder == folder_of(files)


@pytest.mark.parametrize(
    ("strangers", "folder"), [(0, "in/"), (FILES_MIN * STRANGERS_MAX, "in/"), (FILES_MIN * STRANGERS_MAX + 1, None)]
)
async def test_a_folder_with_many_others_is_not_listed_for_a_few(strangers: int, folder: str | None) -> None:
    """Spark would list them all."""
    objects = objects_with(*named("in/{:05}.json"), *named("in/sub/{}.json", strangers), "out/a.json")
    files = [f for key, f in objects.buckets["b"].items() if key in named("in/{:05}.json")]
    assert folder == await Folders(objects, None).filled_by(files)


async def test_no_more_of_a_folder_is_listed_than_it_takes_to_know() -> None:
    """However many objects are in it."""
    objects = objects_with(*named("in/{:05}.json", 100 * FILES_MIN))
    objects.page_size = FILES_MIN
    pages: list[int] = []
    objects.on_page = pages.append
    files = list(objects.buckets["b"].values())[:FILES_MIN]
    assert await Folders(objects, None).filled_by(files) is None
    assert list(range(1, STRANGERS_MAX + 3)) == pages


async def test_whoever_may_not_list_the_folder_reads_path_by_path() -> None:
    """The files themselves may still be read."""
    objects = objects_with(*named("in/{:05}.json"))

    def refuse(page: int) -> None:
        raise Permanent("no", code="access_denied")

    objects.on_page = refuse
    assert await Folders(objects, None).filled_by(list(objects.buckets["b"].values())) is None
