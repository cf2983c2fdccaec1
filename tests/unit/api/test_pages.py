"""The Link header leads through a list, from any place in it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.pages import Page, link_header


def links(page: Page, total: int, query: str = "") -> dict[str, str]:
    header = link_header("/api/v1/things", query, page, total)
    return {name: target for target, name in re.findall(r'<([^>]+)>; rel="(\w+)"', header)}


@pytest.mark.parametrize(
    ("offset", "total", "expected"),
    [
        (0, 0, {}),
        (0, 10, {}),
        (0, 11, {"next": 10, "last": 10}),
        (10, 30, {"first": 0, "prev": 0, "next": 20, "last": 20}),
        (20, 30, {"first": 0, "prev": 10}),
        (5, 30, {"first": 0, "prev": 0, "next": 15, "last": 20}),
        (500, 30, {"first": 0, "prev": 20}),  # beyond the end: back to where something is
        (500, 0, {"first": 0, "prev": 0}),
    ],
)
def test_links_of_a_page(offset: int, total: int, expected: dict[str, int]) -> None:
    """First and previous unless it is the first, next and last unless it is the last."""
    found = links(Page(limit=10, offset=offset), total)
    assert {name: f"/api/v1/things?limit=10&offset={start}" for name, start in expected.items()} == found


def test_other_parameters_stay() -> None:
    """A filtered list stays filtered."""
    found = links(Page(limit=1, offset=0), 2, query="state=a%20b&limit=1&offset=0")
    assert found["next"] == "/api/v1/things?state=a+b&limit=1&offset=1"


@given(st.integers(1, 100), st.integers(0, 500))
def test_following_next_shows_everything_once(limit: int, total: int) -> None:
    """The pages are the list."""
    offset, seen = 0, 0
    while True:
        seen += min(limit, total - offset)
        target = links(Page(limit=limit, offset=offset), total).get("next")
        if target is None:
            break
        offset = int(target.rsplit("=", 1)[1])
    assert total == seen
