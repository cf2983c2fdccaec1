"""Whatever a key is, it comes out of a message as it went in; and whatever bytes come, they are read or refused."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Invalid
from services.scanner.domain.notices import KEY_BYTES_MAX, parse

# What an encoding may get wrong, as often as anything else.
TELLING = st.sampled_from(["%", "+", "/", " ", "%2B", "%20", "ü", "€"])
KEYS = (
    st.lists(TELLING | st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
    .map("".join)
    .filter(lambda key: len(key.encode()) <= KEY_BYTES_MAX)
)
NAMES = ("Records", "Type", "Message", "Event", "Bucket", "source", "detail-type", "detail", "eventName", "eventSource",
         "s3", "bucket", "name", "object", "key", "size", "eTag", "eventTime", "Time")  # fmt: skip
WORDS = st.sampled_from(["ObjectCreated:Put", "Notification", "s3:TestEvent", "aws.s3", "Object Created", "ceph:s3"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=30,
)


def about(key: str) -> dict[str, Any]:
    return {"bucket": {"name": "landing"}, "object": {"key": key, "size": 1}}


def in_record(key: str, store: str) -> str:
    return json.dumps({"Records": [{"eventSource": store, "eventName": "ObjectCreated:Put", "s3": about(key)}]})


@given(KEYS)
def test_any_key_survives_every_envelope(key: str) -> None:
    of_event_bridge = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": about(key)})
    written = [
        in_record(quote_plus(key), "aws:s3"),  # MinIO writes %2F for a slash, S3 does not
        in_record(quote_plus(key, safe="/"), "aws:s3"),
        in_record(quote(key), "aws:s3"),
        in_record(key, "ceph:s3"),
        of_event_bridge,
    ]
    for message in written:
        for raw in (message, json.dumps({"Type": "Notification", "Message": message})):
            assert [("landing", key)] == [(notice.bucket, notice.key) for notice in parse(raw.encode())]


@given(st.binary())
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(Invalid):
        parse(raw)


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=6) | ANYTHING)
def test_any_json_is_read_or_refused(document: Any) -> None:
    """What is read can be written down: by Postgres, which takes no NUL and no half of a surrogate pair."""
    with suppress(Invalid):
        for notice in parse(json.dumps(document).encode()):
            assert notice.key or notice.kind == "test"
            assert "\0" not in notice.bucket + notice.key
            (notice.bucket + notice.key + (notice.etag or "")).encode()
