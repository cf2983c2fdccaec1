"""A folder of a real bucket where a test lets files land, and the table that they are loaded into."""

import asyncio
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import boto3
from pyspark.sql.connect.session import SparkSession

from tests.support.eventually import eventually
from tests.support.installation import Installation

BUCKET = "autoloader-landing"
FINAL = ("success", "partial", "failed", "cancelled")
ENDS_WITHIN_S = 120.0


def s3_client(bucket: str = BUCKET) -> Any:
    """MinIO of the local stack, with the bucket made."""
    client = boto3.client(
        "s3",
        endpoint_url=os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000"),
        aws_access_key_id=os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
        aws_secret_access_key=os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
        region_name="us-east-1",
    )
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=bucket)
    return client


def spark_session() -> Any:
    return SparkSession.builder.remote(os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002")).create()


@dataclass
class Landing:
    """Use as an asynchronous context: the table and the files are gone afterwards."""

    autoloader: Installation
    s3: Any
    spark: Any
    name: str = field(default_factory=lambda: f"landing_{uuid4().hex[:10]}")
    keys: set[str] = field(default_factory=set)
    ingestion_id: str = ""

    async def __aenter__(self) -> "Landing":
        await self.create()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._clean)

    @property
    def table(self) -> str:
        return f"test_catalog.landing.{self.name}"

    def uri(self, file: str) -> str:
        return f"s3://{BUCKET}/{self.name}/{file}"

    async def create(self) -> str:
        """A new ingestion of the folder into the table; it becomes the one that ``run`` runs."""
        created = await self.autoloader.post(
            "",
            name=self.name,
            cluster_id="local",
            source={"path": f"s3://{BUCKET}/{self.name}/", "file_pattern": "*.json", "max_files_per_trigger": 2},
            destination={"catalog": "test_catalog", "database": "landing", "table": self.name},
        )
        self.ingestion_id = created["id"]
        return self.ingestion_id

    async def put(self, file: str, ids: Iterable[int], bad: int = 0) -> None:
        """A file with these rows, and so many lines that are not JSON."""
        body = "".join([*(json.dumps({"id": i}) + "\n" for i in ids), *("not JSON\n" for _ in range(bad))]).encode()
        key = f"{self.name}/{file}"
        self.keys.add(key)
        await asyncio.to_thread(self.s3.put_object, Bucket=BUCKET, Key=key, Body=body)

    async def run(self) -> dict[str, Any]:
        """A run, when it is over."""
        run_id = (await self.autoloader.post(f"/{self.ingestion_id}/run"))["run_id"]

        async def is_over() -> bool:
            return (await self.autoloader.run_of(self.ingestion_id, run_id))["status"] in FINAL

        await eventually(is_over, ENDS_WITHIN_S, what=f"the run of {self.name} ends")
        return await self.autoloader.run_of(self.ingestion_id, run_id)

    async def audit(self) -> dict[str, Any]:
        """The report of a new audit."""
        return self._report(await self.ask_audit())

    async def ask_audit(self) -> dict[str, Any]:
        """A new audit, when it is done or failed."""
        asked = await self.autoloader.post(f"/{self.ingestion_id}/audit")
        return await self._done(f"/{self.ingestion_id}/audits/{asked['audit_id']}")

    async def rebuild(self, **options: Any) -> dict[str, Any]:
        """The report of a new rebuild of the ledger."""
        return self._report(await self.ask_rebuild(**options))

    async def ask_rebuild(self, **options: Any) -> dict[str, Any]:
        """A new rebuild, when it is done or failed."""
        asked = await self.autoloader.post(f"/{self.ingestion_id}/rebuild-ledger", **{"confirm": True, **options})
        return await self._done(f"/{self.ingestion_id}/rebuilds/{asked['rebuild_id']}")

    async def ask_fill(self) -> dict[str, Any]:
        """A new fill of columns from what was rescued, when it is done or failed."""
        asked = await self.autoloader.post(f"/{self.ingestion_id}/schema/fill", columns=None)
        return await self._done(f"/{self.ingestion_id}/schema/fills/{asked['fill_id']}")

    async def sql(self, statement: str) -> list[Any]:
        return await asyncio.to_thread(lambda: list(self.spark.sql(statement).collect()))

    async def ids(self) -> list[int]:
        """What a reader of the table sees."""
        await self.sql(f"REFRESH TABLE {self.table}")
        return sorted(row["id"] for row in await self.sql(f"SELECT id FROM {self.table}"))

    async def _done(self, path: str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            answer = await self.autoloader.client.get(f"/api/v1/ingestions{path}")
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found if found["status"] in ("done", "failed") else None

        done: dict[str, Any] = await eventually(look, ENDS_WITHIN_S, what=f"{path} is done")
        return done

    def _report(self, done: dict[str, Any]) -> dict[str, Any]:
        assert "done" == done["status"], "\n".join([json.dumps(done, indent=1), *self.autoloader.complaints()])
        report: dict[str, Any] = done["report"]
        return report

    def _clean(self) -> None:
        for name in (self.table, f"{self.table}__quarantine"):
            self.spark.sql(f"DROP TABLE IF EXISTS {name} PURGE").collect()
        for key in self.keys:
            self.s3.delete_object(Bucket=BUCKET, Key=key)
