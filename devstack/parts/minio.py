"""MinIO: the object storage that files land in and tables live in. It tells the broker of every object that lands."""

import asyncio
from collections.abc import Mapping
from typing import Any

from devstack.commands import Say
from devstack.environment import base_environment
from devstack.fetch.minio import fetch_minio
from devstack.health import HOST, http_answers
from devstack.part import Launch, Part, Port
from devstack.pins import pins
from devstack.settings import BUCKETS, MINIO_PASSWORD, MINIO_USER, NOTIFICATION_TOPIC, PREFIX, REGION, DevSettings

NOTIFICATION_TARGET = f"arn:minio:sqs:{REGION}:AUTOLOADER:kafka"
OF_ALL_OBJECTS = {"QueueArn": NOTIFICATION_TARGET, "Events": ["s3:ObjectCreated:*"]}


def minio(settings: DevSettings) -> Part:
    """The part."""

    async def fetch(say: Say) -> None:
        await fetch_minio(settings.cache, say)

    async def launch() -> Launch:
        binary = await fetch_minio(settings.cache, lambda _: None)
        home = settings.folder("minio")
        command = (
            binary, "server", settings.folder("minio/data"), "--quiet", "--json",
            "--address", f"{HOST}:{settings.minio_port}", "--console-address", f"{HOST}:{settings.minio_console_port}",
        )  # fmt: skip
        # It would make a folder of its own in the caller's home.
        return Launch(command, {**base_environment(), **minio_environment(settings), "HOME": str(home)}, home)

    async def finish(say: Say) -> None:
        await asyncio.to_thread(prepare_buckets, settings.s3_url, say)

    return Part(
        name="minio",
        version=pins().minio_version.split("-")[1][:8],
        ports=(
            Port(settings.minio_port, f"{PREFIX}MINIO_PORT"),
            Port(settings.minio_console_port, f"{PREFIX}MINIO_CONSOLE_PORT"),
        ),
        fetch=fetch,
        launch=launch,
        check=lambda: http_answers(f"{settings.s3_url}/minio/health/cluster"),
        finish=finish,
    )


def minio_environment(settings: DevSettings) -> dict[str, str]:
    """Credentials, and the broker that bucket notifications go to. Without a folder to queue them in: from there, MinIO
    sends them every three seconds only. What is lost while the broker is away, a listing finds."""
    return {
        "MINIO_ROOT_USER": MINIO_USER,
        "MINIO_ROOT_PASSWORD": MINIO_PASSWORD,
        "MINIO_REGION": REGION,
        "MINIO_UPDATE": "off",
        "MINIO_CALLHOME_ENABLE": "off",
        "MINIO_NOTIFY_KAFKA_ENABLE_AUTOLOADER": "on",
        "MINIO_NOTIFY_KAFKA_BROKERS_AUTOLOADER": settings.kafka_bootstrap,
        "MINIO_NOTIFY_KAFKA_TOPIC_AUTOLOADER": NOTIFICATION_TOPIC,
    }


def prepare_buckets(url: str, say: Say) -> None:
    """The buckets that everybody expects, each with its notifications."""
    # Imported here: 0.3 s that only `up` should pay.
    from botocore.session import get_session  # type: ignore[import-untyped, unused-ignore]

    client = get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=MINIO_USER,
        aws_secret_access_key=MINIO_PASSWORD,
        verify=False,  # plain http; without this, a bundle named in the environment is read for nothing
    )
    present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for bucket in BUCKETS:
        if bucket not in present:
            client.create_bucket(Bucket=bucket)
            say(f"bucket {bucket} created")
        configured = client.get_bucket_notification_configuration(Bucket=bucket)
        if (wanted := with_our_target(configured)) is not None:
            client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
            say(f"bucket {bucket} tells {NOTIFICATION_TOPIC} of every object")


def with_our_target(configured: Mapping[str, Any]) -> dict[str, Any] | None:
    """A bucket's notifications with ours beside those that are configured; None if ours are there already."""
    queues = configured.get("QueueConfigurations", [])
    if any(queue["QueueArn"] == NOTIFICATION_TARGET for queue in queues):
        return None
    others = {name: value for name, value in configured.items() if name != "ResponseMetadata"}
    return {**others, "QueueConfigurations": [*queues, OF_ALL_OBJECTS]}
