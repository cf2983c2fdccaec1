"""The stub lists what its ledger is filled with, and nothing else: otherwise every key would look new."""

from urllib.parse import parse_qs

import pytest

from bench.stub_store import PREFIX, file_of, listing
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.listing_page import entries, taken_apart

KEYS = 2_500


def page(query: str) -> list[FileVersion]:
    apart = taken_apart(listing(KEYS, parse_qs(query)))
    assert apart is not None
    read = entries(apart.objects)
    assert read is not None
    return [FileVersion("b", *each) for each in zip(*read, strict=True)]


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        (f"prefix={PREFIX}", 0, 999),
        ("continuation-token=1000", 1000, 1999),
        ("continuation-token=2000", 2000, 2499),
        (f"start-after={file_of('b', 998).key}", 999, 999),
        (f"start-after={file_of('b', 999).key}", 1000, 1999),
        (f"start-after={file_of('b', 2100).key}", 2101, 2499),
        (f"start-after={PREFIX}", 0, 999),
    ],
)
def test_a_page_has_its_files(query: str, first: int, last: int) -> None:
    """Wherever it begins."""
    assert [file_of("b", number) for number in range(first, last + 1)] == page(query)


def test_keys_are_in_order() -> None:
    """As a store's are."""
    keys = [file_of("b", number).key for number in range(KEYS)]
    assert sorted(keys) == keys


@pytest.mark.parametrize("query", ["prefix=elsewhere/", f"start-after={file_of('b', KEYS - 1).key}"])
def test_where_nothing_is_nothing_is_listed(query: str) -> None:
    """And the listing ends."""
    body = listing(KEYS, parse_qs(query))
    assert b"<Contents>" not in body
    assert b"<IsTruncated>false" in body
