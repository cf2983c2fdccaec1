"""The bucket where files land, as a producer sees it: put files in, look what is there, empty it."""

from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from client.demo.flights import MonthFile
from client.demo.settings import DemoSettings
from client.demo.trouble import DemoTrouble

_DELETE_MAX = 1000  # keys in one DeleteObjects request, S3's own limit


class Landing:
    """One prefix of one bucket. Every failure is a ``DemoTrouble`` with a remedy."""

    def __init__(self, settings: DemoSettings) -> None:
        self._settings = settings
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            aws_access_key_id=settings.s3_access_key,
            aws_secret_access_key=settings.s3_secret_key,
            region_name="us-east-1",
            config=Config(connect_timeout=3, read_timeout=30, retries={"max_attempts": 2}),
        )

    def prepare(self) -> dict[str, str]:
        """Creates the bucket if it is not there. Returns the ETag of each file that has already landed, by name."""
        try:
            self._s3.create_bucket(Bucket=self._settings.bucket)
        except (self._s3.exceptions.BucketAlreadyOwnedByYou, self._s3.exceptions.BucketAlreadyExists):
            pass
        except (BotoCoreError, ClientError) as e:
            raise self._trouble(e) from e
        prefix = self._settings.prefix
        return {item["Key"].removeprefix(prefix): item["ETag"].strip('"') for item in self._objects()}

    def put(self, file: MonthFile) -> None:
        try:
            self._s3.put_object(
                Bucket=self._settings.bucket,
                Key=self._settings.prefix + file.name,
                Body=file.body,
                ContentType="application/x-ndjson",
            )
        except (BotoCoreError, ClientError) as e:
            raise self._trouble(e) from e

    def empty(self) -> int:
        """Removes what landed under the demo's prefix, nothing else. Returns how many files that were."""
        keys = [{"Key": item["Key"]} for item in self._objects()]
        try:
            for start in range(0, len(keys), _DELETE_MAX):
                batch = {"Objects": keys[start : start + _DELETE_MAX], "Quiet": True}
                self._s3.delete_objects(Bucket=self._settings.bucket, Delete=batch)
        except (BotoCoreError, ClientError) as e:
            raise self._trouble(e) from e
        return len(keys)

    def _objects(self) -> Iterator[dict[str, Any]]:
        pages = self._s3.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self._settings.bucket, Prefix=self._settings.prefix):
                yield from page.get("Contents", ())
        except (BotoCoreError, ClientError) as e:
            raise self._trouble(e) from e

    def _trouble(self, error: Exception) -> DemoTrouble:
        where = f"the object store at {self._settings.s3_endpoint}"
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code", "an error")
            return DemoTrouble(
                f"{where} refused ({code})",
                "Check TEST_MINIO_ACCESS_KEY and TEST_MINIO_SECRET_KEY, or start the local one with `make up`.",
            )
        return DemoTrouble(f"{where} does not answer", "Start it with `make up`.")
