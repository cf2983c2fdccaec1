"""What a bucket tells of its objects, in whichever envelope it comes. Pure.

Amazon S3, MinIO and Ceph send records of one shape (``Records``). On its way a message may be put into an envelope of
SNS, or be an event of EventBridge, or that inside of SNS. Whichever it was, what comes out is a ``Notice``. It is a
hint that somebody should look: what the store itself says of the object counts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote_plus

from libs.common.errors import Invalid

NOT_A_NOTIFICATION = "not_a_notification"

KEY_BYTES_MAX = 1024
"""What S3 allows a key to have, in UTF-8."""
_BUCKET_CHARS_MAX = 255
_SIZE_BYTES_MAX = 2**63 - 1

Kind = Literal["created", "removed", "test"]

# Events by their names without "s3:", and by as many words of them as decide. What is not here is no news of an
# object's content: tags, access, replication, transitions, and whatever is added to the list in years to come.
_KINDS: Mapping[str, Kind | None] = {
    "ObjectCreated": "created",
    "ObjectCreated:PutTagging": None,  # MinIO tells these four as creations
    "ObjectCreated:DeleteTagging": None,
    "ObjectCreated:PutRetention": None,
    "ObjectCreated:PutLegalHold": None,
    "ObjectSynced": "created",  # Ceph: it came from another zone
    "ObjectRestore:Completed": "created",  # it was in an archive, and can be read again
    "ObjectRemoved": "removed",
    "ObjectRemoved:NoOP": None,  # MinIO: there was nothing to remove
    "LifecycleExpiration": "removed",
    "ObjectLifecycle:Expiration": "removed",  # Ceph's word for it
    "ReducedRedundancyLostObject": "removed",
}
_KINDS_OF_EVENT_BRIDGE: Mapping[str, Kind] = {
    "Object Created": "created",
    "Object Restore Completed": "created",
    "Object Deleted": "removed",
}
_TEST_EVENT = "s3:TestEvent"
_ANSWERS_OF_SNS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


@dataclass(frozen=True, slots=True)
class Notice:
    """News of one object. ``key`` is the key itself, decoded; that of a *test*, which is about no object, is empty.
    Of what is None the message said nothing that could be read."""

    kind: Kind
    bucket: str
    key: str
    size_bytes: int | None = None
    etag: str | None = None
    version_id: str | None = None
    sequencer: str | None = None
    event_time: datetime | None = None


def parse(raw: bytes) -> tuple[Notice, ...]:
    """The notices of one message; none, if it tells of nothing that a table could care for.

    Raises:
        Invalid: code ``not_a_notification``: it can be read as none, or one of its records cannot.
    """
    document = _document(raw)
    if document.get("Type") == "Notification" and isinstance(document.get("Message"), str):
        document = _document(document["Message"])
    if document.get("Type") in _ANSWERS_OF_SNS:
        raise _refused("it asks to confirm a subscription of SNS", "subscribe a queue of SQS to the topic, not this")
    if "Records" in document:
        return _of_records(document["Records"])
    if document.get("Event") == _TEST_EVENT:
        return (Notice("test", _bucket(document.get("Bucket")), "", event_time=_time(document.get("Time"))),)
    if document.get("source") == "aws.s3" and "detail-type" in document:
        return _of_event_bridge(document)
    raise _refused("it has neither Records, nor is it an event of EventBridge from aws.s3")


def _of_records(records: Any) -> tuple[Notice, ...]:
    if not isinstance(records, list):
        raise _refused("its Records are no list")
    return tuple(notice for record in records if (notice := _of_record(_mapping(record, "a record"))) is not None)


def _of_record(record: Mapping[str, Any]) -> Notice | None:
    name = record.get("eventName")
    if not isinstance(name, str):
        raise _refused("a record has no eventName")
    kind = _kind(name)
    if kind is None:
        return None
    s3 = _mapping(record.get("s3"), "s3 of a record")
    about = _mapping(s3.get("object"), "s3.object of a record")
    return Notice(
        kind,
        _bucket(_mapping(s3.get("bucket"), "s3.bucket of a record").get("name")),
        _key(about.get("key"), is_encoded=not _is_ceph(record)),
        _size(about.get("size")),
        _word(about.get("eTag", about.get("etag"))),
        _word(about.get("versionId")),
        _word(about.get("sequencer")),
        _time(record.get("eventTime")),
    )


def _of_event_bridge(event: Mapping[str, Any]) -> tuple[Notice, ...]:
    kind = _KINDS_OF_EVENT_BRIDGE.get(str(event["detail-type"]))
    if kind is None:
        return ()
    detail = _mapping(event.get("detail"), "detail of the event")
    about = _mapping(detail.get("object"), "detail.object of the event")
    return (
        Notice(
            kind,
            _bucket(_mapping(detail.get("bucket"), "detail.bucket of the event").get("name")),
            _key(about.get("key"), is_encoded=False),
            _size(about.get("size")),
            _word(about.get("etag")),
            _word(about.get("version-id")),
            _word(about.get("sequencer")),
            _time(event.get("time")),
        ),
    )


def _kind(event_name: str) -> Kind | None:
    words = event_name.removeprefix("s3:").split(":", 2)
    names = (":".join(words[:count]) for count in range(len(words), 0, -1))
    return next((_KINDS[name] for name in names if name in _KINDS), None)


def _is_ceph(record: Mapping[str, Any]) -> bool:
    """Ceph alone writes keys as they are; the others as in the query of a web address."""
    return str(record.get("eventSource")).startswith("ceph:")


def _document(raw: bytes | str) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(raw), "the message")
    except (ValueError, RecursionError) as e:  # no UTF-8, no JSON, or brackets in brackets without end
        raise _refused("it is no JSON") from e


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _refused(f"{what} is no JSON object")
    return value


def _bucket(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _BUCKET_CHARS_MAX or _bytes(name) is None:
        raise _refused("it names no bucket")
    return name


def _key(written: Any, *, is_encoded: bool) -> str:
    """The key, decoded exactly once: ``a%2520b`` is the key ``a%20b``."""
    if not isinstance(written, str):
        raise _refused("it names no key")
    try:
        key = unquote_plus(written, errors="strict") if is_encoded else written
    except UnicodeDecodeError as e:
        raise _refused("its key is no UTF-8") from e
    encoded = _bytes(key)
    if encoded is None or not 0 < len(encoded) <= KEY_BYTES_MAX:
        raise _refused(f"its key is none that S3 allows: 1 to {KEY_BYTES_MAX:,} bytes of UTF-8, without NUL")
    return key


def _bytes(text: str) -> bytes | None:
    """None of a text that no store and no database takes."""
    try:
        return None if "\0" in text else text.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return None


def _size(value: Any) -> int | None:
    """Some write numbers as texts."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _SIZE_BYTES_MAX:
        return value
    return None


def _word(value: Any) -> str | None:
    """None also for the ways in which stores say that there is none."""
    if not isinstance(value, str) or not value or value == "null" or len(value) > KEY_BYTES_MAX:
        return None
    return value.strip('"') if _bytes(value) is not None else None


def _time(value: Any) -> datetime | None:
    try:
        told = datetime.fromisoformat(value)
        return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _refused(
    why: str, hint: str = "send notifications of S3, MinIO or Ceph, also through SNS or EventBridge"
) -> Invalid:
    return Invalid(f"this is no notification of a bucket: {why}", code=NOT_A_NOTIFICATION, hint=hint)
