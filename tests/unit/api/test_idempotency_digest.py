"""When two requests are the same."""

import pytest

from services.api.idempotency import digest_of


def test_spacing_and_order_do_not_matter() -> None:
    """Clients serialise differently."""
    assert digest_of("POST", "/x", b'{"a": 1, "b": [1, 2]}') == digest_of("POST", "/x", b'{"b":[1,2],"a":1}')


@pytest.mark.parametrize(
    "other",
    [
        ("PUT", "/x", b'{"a":1}'),
        ("POST", "/y", b'{"a":1}'),
        ("POST", "/x", b'{"a":2}'),
        ("POST", "/x", b'{"a":"1"}'),
        ("POST", "/x", b""),
        ("POST", "/x", b"not json"),
        ("POST", "/x", b"[" * 100_000),  # deeper than Python's parser goes
    ],
)
def test_anything_else_matters(other: tuple[str, str, bytes]) -> None:
    """Method, path and content."""
    assert digest_of("POST", "/x", b'{"a":1}') != digest_of(*other)
