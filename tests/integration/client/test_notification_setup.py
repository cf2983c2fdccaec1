"""``autoloader notifications setup`` on a bucket of MinIO."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from client.cli import app
from tests.contract.objects.conftest import access_of_minio

pytestmark = [pytest.mark.integration, pytest.mark.requires_minio]

TARGET = "arn:minio:sqs:us-east-1:AUTOLOADER:kafka"
REMOVALS = {
    "Id": "theirs",
    "QueueArn": TARGET,
    "Events": ["s3:ObjectRemoved:*"],
    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "data/"}]}},
}


class Bucket:
    """A bucket of a test's own, and its configuration."""

    def __init__(self, client: Any, name: str) -> None:
        self.name = name
        self._client = client

    def configured(self) -> list[Any]:
        answer = self._client.get_bucket_notification_configuration(Bucket=self.name)
        entries: list[Any] = answer.get("QueueConfigurations", [])
        return entries

    def configure(self, *entries: Any) -> None:
        configuration = {"QueueConfigurations": list(entries)}
        self._client.put_bucket_notification_configuration(Bucket=self.name, NotificationConfiguration=configuration)

    def set_up(self, prefix: str, *options: str) -> Result:
        return CliRunner().invoke(app, ["notifications", "setup", f"s3://{self.name}/{prefix}", *options])


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    access = access_of_minio()
    monkeypatch.setenv("AUTOLOADER_S3_ENDPOINT_URL", access.endpoint_url or "")
    monkeypatch.setenv("AUTOLOADER_S3_ACCESS_KEY_ID", access.aws_access_key_id)
    monkeypatch.setenv("AUTOLOADER_S3_SECRET_ACCESS_KEY", access.aws_secret_access_key)
    client = boto3.client(
        "s3",
        endpoint_url=access.endpoint_url,
        aws_access_key_id=access.aws_access_key_id,
        aws_secret_access_key=access.aws_secret_access_key,
        region_name=access.region,
    )
    name = f"notifications-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    yield Bucket(client, name)
    client.delete_bucket(Bucket=name)


def asked_for(entries: list[Any]) -> list[tuple[list[str], dict[str, str]]]:
    return [
        (each["Events"], {rule["Name"].lower(): rule["Value"] for rule in each["Filter"]["Key"]["FilterRules"]})
        for each in entries
    ]


CREATIONS = (["s3:ObjectCreated:*"], {"prefix": "da ta/é=1/", "suffix": ".json"})


def test_a_bucket_is_configured_once(bucket: Bucket) -> None:
    """Running it again changes nothing."""
    first, second = [bucket.set_up("da ta/é=1/", "--suffix", ".json") for _ in range(2)]
    assert [(0, True), (0, True)] == [
        (first.exit_code, "(added)" in first.stdout),
        (second.exit_code, "already" in second.stdout),
    ]
    assert [CREATIONS] == asked_for(bucket.configured())


def test_what_others_configured_stays(bucket: Bucket) -> None:
    bucket.configure(REMOVALS)
    assert 0 == bucket.set_up("da ta/é=1/", "--suffix", ".json").exit_code
    assert [(["s3:ObjectRemoved:*"], {"prefix": "data/"}), CREATIONS] == asked_for(bucket.configured())
    assert "theirs" == bucket.configured()[0]["Id"]


def test_a_dry_run_only_shows(bucket: Bucket) -> None:
    done = bucket.set_up("data/", "--dry-run")
    shown, _, told = done.stdout.rpartition("}\n")
    assert TARGET == json.loads(shown + "}")["QueueConfigurations"][0]["QueueArn"]
    assert "would be told" in told
    assert [] == bucket.configured()


def test_a_target_that_minio_does_not_know_is_named(bucket: Bucket) -> None:
    done = bucket.set_up("data/", "--target", "arn:minio:sqs:us-east-1:NOBODY:kafka")
    assert 2 == done.exit_code
    assert "knows no target arn:minio:sqs:us-east-1:NOBODY:kafka" in done.stderr
    assert "MINIO_NOTIFY_KAFKA_ENABLE_" in done.stderr


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket) -> None:
    done = CliRunner().invoke(app, ["notifications", "setup", f"s3://{bucket.name}-not/data/"])
    assert 2 == done.exit_code
    assert "does not exist" in done.stderr
