"""The local stack's buckets tell of every object, beside whatever else they were configured to tell."""

from typing import Any

import yaml

from devstack.parts.minio import NOTIFICATION_TARGET, OF_ALL_OBJECTS, with_our_target
from devstack.places import CLONE
from devstack.settings import BUCKETS


def test_a_new_bucket_gets_our_target() -> None:
    """What the answer says about itself is no part of a configuration."""
    assert {"QueueConfigurations": [OF_ALL_OBJECTS]} == with_our_target({"ResponseMetadata": {"HTTPStatusCode": 200}})


def test_what_others_configured_stays() -> None:
    """Queues and topics of theirs."""
    theirs: dict[str, Any] = {"QueueArn": "arn:theirs", "Events": ["s3:ObjectRemoved:*"]}
    configured = {"QueueConfigurations": [theirs], "TopicConfigurations": [{"TopicArn": "arn:topic"}]}
    wanted = {
        "QueueConfigurations": [theirs, OF_ALL_OBJECTS],
        "TopicConfigurations": [{"TopicArn": "arn:topic"}],
    }
    assert wanted == with_our_target(configured)


def test_a_bucket_that_has_it_is_left_alone() -> None:
    """Whatever it was narrowed to."""
    ours = {**OF_ALL_OBJECTS, "Id": "1", "Filter": {"Key": {"FilterRules": []}}}
    assert with_our_target({"QueueConfigurations": [ours]}) is None


def test_the_containers_tell_the_same_target() -> None:
    """Of the same buckets."""
    compose = yaml.safe_load((CLONE / "docker-compose.test.yml").read_text())
    [script] = compose["services"]["minio"]["command"]
    assert f"for bucket in {' '.join(BUCKETS)}; do" in script
    assert NOTIFICATION_TARGET in script
