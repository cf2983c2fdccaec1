"""A listing is cut where its objects say so: what is added, changed or taken away is seen, and moves no other cut."""

import random
from hashlib import md5

import pytest

from libs.common.objects.stretches import STRETCH_BYTES_MAX, Cutter, fingerprint_of


def told(number: int, content: str | None = None, quote: str = "&quot;") -> bytes:
    etag = md5((content or str(number)).encode(), usedforsecurity=False).hexdigest()
    return (
        f"<Contents><Key>in/{number:08}.json</Key><LastModified>2026-11-27T12:30:59.123Z</LastModified>"
        f"<ETag>{quote}{etag}{quote}</ETag><Size>3</Size><StorageClass>STANDARD</StorageClass></Contents>"
    ).encode()


def cut(objects: list[bytes], page_size: int = 1000) -> list[bytes]:
    cutter, found = Cutter(), list[bytes]()
    for start in range(0, len(objects), page_size):
        found += cutter.add(b"".join(objects[start : start + page_size]))
    return found + cutter.rest()


OBJECTS = [told(2 * n) for n in range(10_000)]


@pytest.mark.parametrize("page_size", [1, 7, 999, 1000, 20_000])
def test_the_pages_of_a_listing_do_not_matter(page_size: int) -> None:
    """And nothing is lost, doubled or cut in two."""
    stretches = cut(OBJECTS, page_size)
    assert cut(OBJECTS) == stretches
    assert b"".join(OBJECTS) == b"".join(stretches)
    assert all(s.startswith(b"<Contents>") and s.endswith(b"</Contents>") for s in stretches)
    assert 20 < len(stretches) < 80
    assert max(map(len, stretches)) <= STRETCH_BYTES_MAX + len(OBJECTS[0])


@pytest.mark.parametrize("quote", ["&quot;", "&#34;", '"', ""])
def test_etags_may_have_any_quotes(quote: str) -> None:
    assert len(cut(OBJECTS)) == len(cut([told(2 * n, quote=quote) for n in range(10_000)]))


@pytest.mark.parametrize("seed", range(20))
def test_a_change_is_seen_and_leaves_the_other_stretches_alone(seed: int) -> None:
    """A new object, one less, or another version of one."""
    dice = random.Random(seed)
    at = dice.randrange(len(OBJECTS))
    changed = OBJECTS.copy()
    changed[at : at + dice.randrange(2)] = [told(2 * at + 1, "new")] if dice.randrange(3) else []
    if changed == OBJECTS:
        changed.pop(at)
    before, after = set(map(fingerprint_of, cut(OBJECTS))), set(map(fingerprint_of, cut(changed)))
    assert 1 <= len(after - before) + len(before - after) <= 6


def test_objects_that_all_hold_the_same_are_cut_by_size() -> None:
    """Whether or not their common ETag ends stretches: memory stays bounded."""
    for content in ("same", next(str(n) for n in range(10_000) if b"&quot;00" in told(0, str(n)))):
        stretches = cut([told(n, content) for n in range(5_000)])
        assert b"".join(stretches) == b"".join(told(n, content) for n in range(5_000))
        assert max(map(len, stretches)) <= STRETCH_BYTES_MAX + len(OBJECTS[0])


def test_an_empty_listing_has_no_stretch() -> None:
    assert [] == cut([])
