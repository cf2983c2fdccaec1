"""What buckets write, and what is read out of it. The messages are as the stores write them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.common.errors import Invalid
from services.scanner.domain.notices import NOT_A_NOTIFICATION, Notice, parse

AT = datetime(2025, 1, 7, 12, 0, 0, tzinfo=UTC)
S3_TEST_EVENT = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2025-01-07T12:00:00.000Z",
    "Bucket": "landing",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
}


def record(event: str = "ObjectCreated:Put", key: str = "in/a.json", store: str = "aws:s3", **about: Any) -> Any:
    about = {"size": 1024, "eTag": "d41d8cd9", "versionId": "v7", "sequencer": "0055AED6DCD90281E5", **about}
    return {
        "eventVersion": "2.1",
        "eventSource": store,
        "awsRegion": "us-east-1",
        "eventTime": "2025-01-07T12:00:00.000Z",
        "eventName": event,
        "s3": {"bucket": {"name": "landing", "arn": "arn:aws:s3:::landing"}, "object": {"key": key, **about}},
    }


def told(*records: Any, **more: Any) -> bytes:
    return json.dumps({"Records": records, **more}).encode()


def from_sns(message: bytes, kind: str = "Notification") -> bytes:
    return json.dumps(
        {
            "Type": kind,
            "MessageId": "da41e39f-ea4d-435a-b922-c6aae3915ebe",
            "TopicArn": "arn:aws:sns:us-east-1:123456789012:landing",
            "Subject": "Amazon S3 Notification",
            "Message": message.decode(),
            "Timestamp": "2025-01-07T12:00:01.000Z",
        }
    ).encode()


def from_event_bridge(kind: str = "Object Created", key: str = "in/a.json") -> bytes:
    return json.dumps(
        {
            "version": "0",
            "id": "17793124-05d4-b198-2fde-7ededc63b103",
            "detail-type": kind,
            "source": "aws.s3",
            "account": "111122223333",
            "time": "2025-01-07T12:00:00Z",
            "region": "ca-central-1",
            "resources": ["arn:aws:s3:::landing"],
            "detail": {
                "version": "0",
                "bucket": {"name": "landing"},
                "object": {
                    "key": key, "size": 1024, "etag": "d41d8cd9", "version-id": "v7", "sequencer": "0055AED6DCD90281E5"
                },
                "reason": "PutObject",
            },
        }
    ).encode()  # fmt: skip


CREATED = Notice("created", "landing", "in/a.json", 1024, "d41d8cd9", "v7", "0055AED6DCD90281E5", AT)


@pytest.mark.parametrize(
    "raw",
    [
        told(record()),
        told(record("s3:ObjectCreated:Put", "in%2Fa.json", "minio:s3"), EventName="s3:…", Key="landing/in/a.json"),
        told(record(store="ceph:s3", size="1024")),
        from_sns(told(record())),
        from_event_bridge(),
        from_sns(from_event_bridge()),
    ],
    ids=["s3", "minio", "ceph", "sns", "eventbridge", "eventbridge through sns"],
)
def test_every_envelope_holds_the_same_notice(raw: bytes) -> None:
    assert (CREATED,) == parse(raw)


@pytest.mark.parametrize(
    ("written", "store", "key"),
    [
        ("red+flower.jpg", "aws:s3", "red flower.jpg"),
        ("red%2Bflower.jpg", "aws:s3", "red+flower.jpg"),
        ("a%2520b", "aws:s3", "a%20b"),
        ("z%C3%BCrich%2F%E2%82%AC.json", "minio:s3", "zürich/€.json"),
        ("red+flower%20.jpg", "ceph:s3", "red+flower%20.jpg"),
    ],
)
def test_a_key_is_decoded_exactly_once(written: str, store: str, key: str) -> None:
    """Ceph writes keys as they are."""
    [notice] = parse(told(record(key=written, store=store)))
    assert key == notice.key


def test_event_bridge_writes_keys_as_they_are() -> None:
    [notice] = parse(from_event_bridge(key="red+flower%20.jpg"))
    assert "red+flower%20.jpg" == notice.key


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("ObjectCreated:CompleteMultipartUpload", "created"),
        ("s3:ObjectCreated:Copy", "created"),
        ("ObjectSynced:Create", "created"),
        ("ObjectRestore:Completed", "created"),
        ("ObjectRemoved:DeleteMarkerCreated", "removed"),
        ("LifecycleExpiration:Delete", "removed"),
        ("s3:ObjectLifecycle:Expiration:Current", "removed"),
        ("ObjectRestore:Post", None),
        ("ObjectRestore:Delete", None),
        ("LifecycleTransition", None),
        ("ObjectTagging:Put", None),
        ("s3:ObjectCreated:PutTagging", None),
        ("s3:ObjectAccessed:Get", None),
        ("s3:ObjectLifecycle:Transition:Current", None),
        ("s3:Replication:OperationFailedReplication", None),
    ],
)
def test_what_an_event_says_of_the_object(event: str, kind: str | None) -> None:
    assert ([] if kind is None else [kind]) == [notice.kind for notice in parse(told(record(event)))]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("Object Deleted", "removed"),
        ("Object Restore Completed", "created"),
        ("Object Restore Initiated", None),
        ("Object Tags Added", None),
    ],
)
def test_what_an_event_of_event_bridge_says_of_the_object(event: str, kind: str | None) -> None:
    assert ([] if kind is None else [kind]) == [notice.kind for notice in parse(from_event_bridge(event))]


def test_an_event_of_a_bucket_itself_is_passed_over() -> None:
    """It is about no object, and need not name one."""
    assert () == parse(told({"eventName": "s3:BucketCreated:*", "s3": {"bucket": {"name": "landing"}}}))


def test_the_test_event_that_s3_sends_when_notifications_are_set_up() -> None:
    expected = (Notice("test", "landing", "", event_time=AT),)
    assert expected == parse(json.dumps(S3_TEST_EVENT).encode())
    assert expected == parse(from_sns(json.dumps(S3_TEST_EVENT).encode()))


def test_a_message_may_tell_of_several_objects() -> None:
    keys = [notice.key for notice in parse(told(record(key="a"), record("ObjectTagging:Put"), record(key="b")))]
    assert ["a", "b"] == keys


def test_what_cannot_be_read_beside_bucket_and_key_is_left_out() -> None:
    odd = record(size=-1, eTag="", versionId="null", sequencer=7) | {"eventTime": "yesterday"}
    assert (Notice("created", "landing", "in/a.json"),) == parse(told(odd))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "neither Records"),
        (b'{"Records": {}}', "no list"),
        (b'{"Records": [7]}', "no JSON object"),
        (told({"s3": {}}), "no eventName"),
        (told({"eventName": "ObjectCreated:Put"}), "s3 of a record"),
        (told(record(key="")), "key"),
        (told(record(key="%FF")), "no UTF-8"),
        (told(record(key="a%00b")), "without NUL"),
        (told(record(key="a" * 1025)), "1,024 bytes"),
        (told(record(key="\ud800", store="ceph:s3")), "without NUL"),
        (from_sns(b"all is well"), "no JSON"),
        (from_sns(b"{}", kind="SubscriptionConfirmation"), "confirm a subscription"),
        (from_event_bridge().replace(b"aws.s3", b"aws.ec2"), "EventBridge"),
    ],
)
def test_what_is_no_notification_is_refused_with_the_reason(raw: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        parse(raw)
    assert NOT_A_NOTIFICATION == refused.value.code
    assert refused.value.hint
