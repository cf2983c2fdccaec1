"""What the services may rely on in any object store."""

import unicodedata

import pytest

from libs.common.contracts.definition import Credentials
from libs.common.errors import Permanent
from libs.common.ledger.model.files import tags
from tests.contract.objects.worlds import Store, keys, listed

pytestmark = pytest.mark.contract

# What S3 allows and MinIO keeps. "..", empty folders and a backslash at the end are refused by MinIO itself.
SPECIAL = (
    "a b.json",
    " leading and trailing ",
    "a+b.json",
    "k=v/part=1/x.json",
    "100%.json",
    "a%20b.json",
    "a%2Fb.json",
    "#hash?query&and=more.json",
    "*star?[set]{braces}.json",
    "'single' \"double\" `tick`.json",
    "line\nbreak\ttab.json",
    "<xml>&amp;]]>.json",
    "semi;colon,comma:at@dollar$.json",
    "back\\slash.json",
    "emoji-😀-family-👨‍👩‍👧.json",
    "日本語/ファイル.json",
    unicodedata.normalize("NFC", "é.json"),
    unicodedata.normalize("NFD", "é.json"),
    "_hidden.json",
    ".dotted.json",
    "UPPER.json",
    "upper.json",
    "\u2028separator\u00a0space.json",
    "/".join("x" * 204 for _ in range(5)),  # 1,024 bytes, the longest that there is
)


async def test_special_keys_are_listed_under_their_exact_names(store: Store, bucket: str) -> None:
    """In the order of their bytes; and they are found again under these names, in the same version (F47)."""
    assert 1024 == len(SPECIAL[-1].encode())
    await store.put(bucket, SPECIAL)
    pages = await listed(store, bucket)
    assert sorted(SPECIAL, key=str.encode) == [f.key for page in pages for f in page]
    versions = await store.objects.versions(bucket, SPECIAL, store.access)
    assert {f.key: f.version_tag for page in pages for f in page} == tags(versions)


async def test_a_prefix_of_special_characters_is_taken_literally(store: Store, bucket: str) -> None:
    """No glob, no decoding."""
    await store.put(bucket, ["a+b=c %20/x.json", "a b=c  /x.json", "a+b=c %2", "*/x.json"])
    assert ["a+b=c %20/x.json"] == await keys(store, bucket, "a+b=c %20/")
    assert ["*/x.json"] == await keys(store, bucket, "*/")


async def test_thousands_of_keys_come_page_by_page_and_in_order(store: Store, bucket: str) -> None:
    """At most 1,000 at a time, each once, and nothing from beside the prefix."""
    inside = [f"in/{n:05}.json" for n in range(2500)]
    await store.put(bucket, [*inside, "in.json", "in2/00000.json"])
    pages = await listed(store, bucket, "in/")
    assert inside == [f.key for page in pages for f in page]
    assert all(len(page) <= 1000 for page in pages)
    assert len(pages) >= 3
    # A last page that is full: whether or not an empty one follows it, the listing ends (F39).
    assert inside[:1000] == await keys(store, bucket, "in/00")


async def test_an_empty_place_lists_nothing(store: Store, bucket: str) -> None:
    """A bucket without objects, a prefix without objects: no error."""
    assert [] == await keys(store, bucket)
    await store.put(bucket, ["other/a"])
    assert [] == await keys(store, bucket, "nothing/here/")


async def test_what_changes_during_a_listing_makes_no_gap(store: Store, bucket: str) -> None:
    """Keys behind the cursor come and go, those ahead of it are all seen (F39)."""
    await store.put(bucket, [f"{n:04}" for n in range(0, 2100, 2)])
    seen: list[str] = []
    async for page in store.objects.pages(bucket, "", store.access):
        if not seen:
            await store.delete(bucket, ["0000", "0998", page[-1].key])
            await store.put(bucket, ["0001", "2099"])
        seen.extend(f.key for f in page)
    assert [*(f"{n:04}" for n in range(0, 2100, 2)), "2099"] == seen


async def stretches_of(store: Store, bucket: str, *prefixes: str) -> dict[bytes | None, list[str]]:
    """By fingerprint the keys, in the order of the listing."""
    found = [s async for some in store.objects.stretches(bucket, prefixes, store.access) for s in some]
    assert len(found) == len({s.fingerprint for s in found})
    return {s.fingerprint: [f.key for f in s.read()] for s in found}


async def test_a_listing_in_stretches_shows_what_its_pages_show(store: Store, bucket: str) -> None:
    """Under whatever names; each object once."""
    await store.put(bucket, [*SPECIAL, *(f"in/{n:05}.json" for n in range(1500))])
    files = [f async for some in store.objects.stretches(bucket, [""], store.access) for s in some for f in s.read()]
    assert [f for page in await listed(store, bucket) for f in page] == files
    assert [] == list(await stretches_of(store, bucket, "nothing/here/"))


async def test_a_listing_of_several_places_shows_each_of_them(store: Store, bucket: str) -> None:
    """Whatever lies beside them; a place may be empty, and there may be none."""
    await store.put(bucket, [*(f"in/{folder}/{n:04}" for folder in "abcdefg" for n in range(300)), "in/0", "in/z"])
    found = await stretches_of(store, bucket, "in/a/", "in/nothing/", "in/c/", "in/e/", "in/f/", "in/g/")
    keys_found = sorted(key for keys in found.values() for key in keys)
    assert [f"in/{folder}/{n:04}" for folder in "acefg" for n in range(300)] == keys_found
    assert {} == await stretches_of(store, bucket)


async def test_a_place_tells_its_folders_and_the_objects_beside_them(store: Store, bucket: str) -> None:
    """Nothing that lies deeper, under whatever names; more than a page has."""
    days = [f"in/dt={n:04}/" for n in range(1100)]
    odd = ["a b", "a%2Fb", "größe", "x=ü&y", "a", "a-", "a!"]
    await store.put(bucket, [*(f"{day}x" for day in days), *(f"odd/{name}/x/y" for name in odd), "in/x", "odd/a!b"])
    assert await place_of(store, bucket, "in/") == (days, ["in/x"])
    assert await place_of(store, bucket, "odd/") == (
        sorted((f"odd/{name}/" for name in odd), key=str.encode),
        ["odd/a!b"],
    )
    assert await place_of(store, bucket, "nothing/") == ([], [])


async def test_who_may_not_ask_for_a_place_is_told_nothing(store: Store, bucket: str) -> None:
    """The listing itself says why."""
    wrong = Credentials(**{**store.access.model_dump(), "aws_secret_access_key": "wrong-secret"})
    assert await store.objects.place(bucket, "", wrong) is None
    assert not await store.objects.may_list(bucket, "in/", wrong)
    assert await store.objects.may_list(bucket, "in/", store.access)


async def place_of(store: Store, bucket: str, prefix: str) -> tuple[list[str], list[str]]:
    place = await store.objects.place(bucket, prefix, store.access)
    assert place is not None
    return list(place.folders), [f.key for f in place.beside]


async def test_stretches_are_recognised_and_a_change_is_seen(store: Store, bucket: str) -> None:
    """All of them the next time; after something was added, taken away or written anew, nearly all."""
    await store.put(bucket, names := [f"in/{n:05}.json" for n in range(3000)])
    for n, name in enumerate(names):
        if n % 5 == 0:
            await store.put(bucket, [name], f"{n}\n".encode())
    before = await stretches_of(store, bucket, "")
    assert before == await stretches_of(store, bucket, "")
    await store.put(bucket, ["in/01000a.json"])
    await store.put(bucket, [names[500]], b"written anew\n")
    await store.delete(bucket, [names[2000]])
    after = await stretches_of(store, bucket, "")
    new = {key for fingerprint in after.keys() - before.keys() for key in after[fingerprint]}
    assert {"in/01000a.json", names[500]} <= new
    assert names[2000] not in {key for keys in after.values() for key in keys}
    assert names[2000] in {key for fingerprint in before.keys() - after.keys() for key in before[fingerprint]}
    assert [f.key for page in await listed(store, bucket) for f in page] == [k for keys in after.values() for k in keys]


async def test_a_version_changes_with_what_the_object_holds(store: Store, bucket: str) -> None:
    """Written again with other bytes it is another version; with the same bytes it is the same."""
    await store.put(bucket, ["a"], b"one")
    ((first,),) = await listed(store, bucket)
    assert (3, bucket) == (first.size_bytes, first.bucket)
    assert '"' not in first.etag
    await store.put(bucket, ["a"], b"one")
    assert {"a": first.version_tag} == tags(await store.objects.versions(bucket, ["a"], store.access))
    await store.put(bucket, ["a"], b"two")
    assert first.version_tag != tags(await store.objects.versions(bucket, ["a"], store.access))["a"]


async def test_a_key_that_is_gone_has_no_version(store: Store, bucket: str) -> None:
    """And says nothing about the others (F41)."""
    await store.put(bucket, ["here", "gone"])
    await store.delete(bucket, ["gone"])
    versions = await store.objects.versions(bucket, ["here", "gone", "never"], store.access)
    assert [True, False, False] == [versions[key] is not None for key in ("here", "gone", "never")]


async def test_a_key_that_no_object_can_have_has_no_version(store: Store, bucket: str) -> None:
    """MinIO refuses to look; whoever forges a notification must not stop the others."""
    await store.put(bucket, ["here"])
    odd = ["a/../here", "a//b", ".", f"a/{'x' * 300}"]
    versions = await store.objects.versions(bucket, ["here", *odd], store.access)
    assert versions["here"] is not None
    assert dict.fromkeys(odd) == {key: versions[key] for key in odd}


async def test_hundreds_of_versions_are_looked_up_at_once(store: Store, bucket: str) -> None:
    """As many as a batch has."""
    names = [f"{n:04}" for n in range(300)]
    await store.put(bucket, names)
    versions = await store.objects.versions(bucket, names, store.access)
    assert {f.key: f.version_tag for page in await listed(store, bucket) for f in page} == tags(versions)


async def test_among_hundreds_of_keys_what_is_gone_or_changed_is_seen(store: Store, bucket: str) -> None:
    """Whether a page of a listing tells of a key or a look at it alone, and whatever stands between them."""
    names = [f"in/{n:04} é+%41" for n in range(300)]
    await store.put(bucket, [*names, "in/0000", "other"])
    before = {f.key: f.version_tag for page in await listed(store, bucket) for f in page}
    await store.delete(bucket, [names[7]])
    await store.put(bucket, [names[8]], b"another\n")
    now = tags(await store.objects.versions(bucket, [*names, "in/9999"], store.access))
    assert {names[7], names[8], "in/9999"} == {key for key in now if now[key] != before.get(key, "")}
    assert (None, None) == (now[names[7]], now["in/9999"])


@pytest.mark.parametrize(("size_max", "expected"), [(1, b"a"), (4, b"abcd"), (10, b"abcdefghij"), (99, b"abcdefghij")])
async def test_an_object_is_read_from_its_start(store: Store, bucket: str, size_max: int, expected: bytes) -> None:
    """As far as is asked for, and not beyond its end."""
    await store.put(bucket, ["a"], b"abcdefghij")
    ((file,),) = await listed(store, bucket)
    assert expected == await store.objects.first_bytes(file, size_max, store.access)


@pytest.mark.parametrize(("size_max", "expected"), [(1, b"j"), (4, b"ghij"), (10, b"abcdefghij"), (99, b"abcdefghij")])
async def test_an_object_is_read_from_its_end(store: Store, bucket: str, size_max: int, expected: bytes) -> None:
    """Where some formats say what they hold."""
    await store.put(bucket, ["a"], b"abcdefghij")
    ((file,),) = await listed(store, bucket)
    assert expected == await store.objects.last_bytes(file, size_max, store.access)


async def test_special_keys_and_empty_objects_are_read(store: Store, bucket: str) -> None:
    """Each under its exact name."""
    await store.put(bucket, SPECIAL, b"x")
    await store.put(bucket, ["zzz empty"], b"")
    for file in [f for page in await listed(store, bucket) for f in page]:
        assert b"x" * file.size_bytes == await store.objects.first_bytes(file, 5, store.access), file.key
        assert b"x" * file.size_bytes == await store.objects.last_bytes(file, 5, store.access), file.key


async def test_another_version_is_not_taken_for_the_one_that_was_listed(store: Store, bucket: str) -> None:
    """Nor is one that is gone."""
    await store.put(bucket, ["changed", "gone"], b"one")
    (files,) = await listed(store, bucket)
    await store.put(bucket, ["changed"], b"two")
    await store.delete(bucket, ["gone"])
    assert [None, None] == [await store.objects.first_bytes(file, 5, store.access) for file in files]
    assert [None, None] == [await store.objects.last_bytes(file, 5, store.access) for file in files]


async def test_a_bucket_that_does_not_exist_is_named(store: Store) -> None:
    """With what to check."""
    with pytest.raises(Permanent) as caught:
        await keys(store, "no-such-bucket-anywhere")
    assert "bucket_not_found" == caught.value.code
    assert "no-such-bucket-anywhere" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("change", [{"aws_secret_access_key": "wrong-secret"}, {"aws_access_key_id": "NOBODY"}])
async def test_wrong_credentials_are_told_apart_from_missing_objects(
    store: Store, bucket: str, change: dict[str, str]
) -> None:
    """Denied is denied, not empty and not gone; and the secret stays out of the message (F52)."""
    await store.put(bucket, ["a"])
    wrong: Credentials = store.access.model_copy(update=change)
    with pytest.raises(Permanent) as listing:
        [_ async for _ in store.objects.pages(bucket, "", wrong)]
    with pytest.raises(Permanent, match="access"):
        [_ async for _ in store.objects.stretches(bucket, [""], wrong)]
    with pytest.raises(Permanent) as looking:
        await store.objects.versions(bucket, ["a"], wrong)
    ((file,),) = await listed(store, bucket)
    with pytest.raises(Permanent) as reading:
        await store.objects.first_bytes(file, 1, wrong)
    assert ["access_denied"] * 3 == [listing.value.code, looking.value.code, reading.value.code]
    assert wrong.aws_secret_access_key not in f"{listing.value} {listing.value.hint} {looking.value}"
    assert ["a"] == await keys(store, bucket)
