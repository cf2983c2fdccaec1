"""Keys and prefixes that clients name, held against the source."""

import pytest

from libs.common.contracts.definition import Source
from libs.common.contracts.scope import Scope
from libs.common.errors import Invalid
from services.api.runs.places import placed_in

SOURCE = Source(path="s3://landing/in/")


def test_keys_are_below_the_bucket_each_once() -> None:
    asked = Scope(keys=("in/a", "s3://landing/in/a", "s3a://landing/in/b"))
    assert ("in/a", "in/b") == placed_in(SOURCE, asked).keys


@pytest.mark.parametrize(
    ("given", "placed"),
    [
        ("in/2025/", "in/2025/"),
        ("s3://landing/in/2025/", "in/2025/"),
        ("s3://landing/", ""),
        ("in", "in"),
        (None, None),
    ],
)
def test_a_prefix_is_below_the_bucket(given: str, placed: str) -> None:
    assert placed == placed_in(SOURCE, Scope(prefix=given)).prefix


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        (Scope(keys=("in/a", "out/a")), "key_outside_source"),
        (Scope(keys=("s3://other/in/a",)), "key_outside_source"),
        (Scope(prefix="out/"), "prefix_outside_source"),
        (Scope(prefix="s3://other/in/"), "prefix_outside_source"),
    ],
)
def test_what_lies_elsewhere_is_refused_by_name(scope: Scope, code: str) -> None:
    """These credentials are for this source."""
    with pytest.raises(Invalid) as refused:
        placed_in(SOURCE, scope)
    assert code == refused.value.code
    assert "s3://landing/in/" in refused.value.message
    assert "s3://landing/" in refused.value.hint
