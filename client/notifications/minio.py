"""The configuration of one bucket of MinIO, or of another store that takes S3's requests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from client.notifications.configuration import Change, is_kept, merged
from client.notifications.place import Place
from libs.common.errors import Permanent, Temporary
from libs.common.settings import CommonSettings


def set_up(place: Place, target: str, settings: CommonSettings, *, dry_run: bool) -> tuple[dict[str, Any], Change]:
    """Has the bucket tell ``target`` of the place. The configuration as it is then (or would be), and what changed.

    Raises:
        Permanent: codes ``bucket_not_found``, ``unknown_target``, ``access_denied``, ``storage_refused``, and
            ``configuration_changed`` if somebody else wrote at the same time.
        Temporary: code ``storage_unreachable``.
    """
    with _translated(place, target, settings.s3_endpoint_url or "AWS"):
        client = _client(settings)
        before = _read(client, place)
        configuration, change = merged(before, place, target)
        if change == "there" or dry_run:
            return configuration, change
        client.put_bucket_notification_configuration(Bucket=place.bucket, NotificationConfiguration=configuration)
        after = _read(client, place)
    if not is_kept(before, after, place) or merged(after, place, target)[1] != "there":
        raise Permanent(
            f"the configuration of bucket {place.bucket!r} was changed by somebody else at the same time",
            code="configuration_changed",
            hint="look at it, and run this again: what is missing is added",
        )
    return after, change


def _client(settings: CommonSettings) -> Any:
    import boto3  # half a second for nobody else
    from botocore.config import Config

    secret = settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        region_name=settings.s3_region,
        config=Config(connect_timeout=3, read_timeout=30, retries={"max_attempts": 2}, s3={"addressing_style": "path"}),
    )


def _read(client: Any, place: Place) -> dict[str, Any]:
    answer = client.get_bucket_notification_configuration(Bucket=place.bucket)
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


@contextmanager
def _translated(place: Place, target: str, where: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except NoCredentialsError as e:
        raise Permanent(
            f"there are no credentials for {where}",
            code="access_denied",
            hint="set AUTOLOADER_S3_ACCESS_KEY_ID and AUTOLOADER_S3_SECRET_ACCESS_KEY",
        ) from e
    except ClientError as e:
        code, told = e.response.get("Error", {}).get("Code", ""), e.response.get("Error", {}).get("Message", "")
        if code == "NoSuchBucket":
            raise Permanent(
                f"bucket {place.bucket!r} does not exist at {where}", code="bucket_not_found", hint="create it"
            ) from e
        if code == "InvalidArgument" and ("ARN" in told or "destination" in told):
            raise Permanent(
                f"{where} knows no target {target}",
                code="unknown_target",
                hint="set MINIO_NOTIFY_KAFKA_ENABLE_<id>, _BROKERS_<id> and _TOPIC_<id> (or MINIO_NOTIFY_WEBHOOK_…) of "
                "MinIO, start it again, and name the target: --target arn:minio:sqs:<region>:<id>:kafka",
            ) from e
        if code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
            raise Permanent(
                f"access to bucket {place.bucket!r} at {where} was denied ({code})",
                code="access_denied",
                hint="the key needs s3:GetBucketNotification and s3:PutBucketNotification",
            ) from e
        raise Permanent(
            f"{where} refused the configuration of bucket {place.bucket!r}: {code}: {told}",
            code="storage_refused",
            hint="check the path, the suffix and the target",
        ) from e
    except BotoCoreError as e:
        raise Temporary(
            f"object storage at {where} cannot be reached ({type(e).__name__})",
            code="storage_unreachable",
            hint="check AUTOLOADER_S3_ENDPOINT_URL and the network",
        ) from e
