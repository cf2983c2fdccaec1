"""Files of any content that land, and the ingestion that loads them; judged by the one oracle."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.faults.cases import BUCKET, RECOVERY_S, bucket
from tests.faults.tally import Faults
from tests.support.eventually import eventually
from tests.support.installation import Installation
from tests.support.landing import FINAL
from tests.support.oracle import Oracle

ACCESS_KEY = os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin")
SECRET = os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin")
MINIO = os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000")
REGION = "us-east-1"


@dataclass
class Landing:
    """One ingestion. ``ids`` are the rows that its files hold; each of them should be in the table once. ``bad`` are
    addresses and lines of records that should be in its quarantine once."""

    autoloader: Installation
    s3: Any
    spark: Any
    faults: Faults
    name: str
    ids: set[int] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    ingestion_id: str = ""
    on_error: str = "skip_file"
    bad: set[tuple[str, int]] = field(default_factory=set)

    @property
    def table(self) -> str:
        return f"test_catalog.faults.{self.name}"

    async def put(self, name: str, body: bytes, ids: Iterable[int] = (), bad: Iterable[int] = ()) -> str:
        """Lands a file; ``ids`` are those of its rows that the table should have, ``bad`` the lines that its quarantine
        should. Returns its address."""
        key = f"{self.name}/{name}"
        # An empty Body makes botocore promise bytes that never come.
        await asyncio.to_thread(self.s3.put_object, Bucket=BUCKET, Key=key, **({"Body": body} if body else {}))
        self.keys.add(key)
        self.ids.update(ids)
        self.bad.update((f"s3://{BUCKET}/{key}", line) for line in bad)
        return f"s3://{BUCKET}/{key}"

    async def put_many(self, bodies: Mapping[str, bytes]) -> None:
        """Lands files, many at once."""
        keys = {f"{self.name}/{name}": body for name, body in bodies.items()}

        def put(key: str) -> None:
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=keys[key])

        def work() -> None:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(put, keys))

        await asyncio.to_thread(work)
        self.keys.update(keys)

    async def put_rows(self, name: str, first: int, count: int, filler: str = "") -> str:
        """Lands a good file with so many rows, numbered from ``first``."""
        ids = range(first, first + count)
        return await self.put(name, lines(*({"id": i, "text": f"row {i}{filler}"} for i in ids)), ids)

    async def begin(self, endpoint_url: str | None = None, **source: Any) -> str:
        """Creates the ingestion if there is none, and asks for a run. ``endpoint_url``: its own way to the store."""
        if not self.ingestion_id:
            await self.create(endpoint_url, **source)
        run_id: str = (await self.autoloader.post(f"/{self.ingestion_id}/run"))["run_id"]
        return run_id

    async def create(
        self,
        endpoint_url: str | None = None,
        secret: str = SECRET,
        region: str = REGION,
        format_: dict[str, Any] | None = None,
        **source: Any,
    ) -> None:
        created = await self.autoloader.post(
            "",
            name=self.name,
            cluster_id="local",
            source={
                "path": f"s3://{BUCKET}/{self.name}/",
                **({"credentials": access(endpoint_url, secret, region)} if endpoint_url else {}),
                **source,
            },
            format=format_ or {"type": "json"},
            destination={"catalog": "test_catalog", "database": "faults", "table": self.name},
            quality={"on_error": self.on_error},
        )
        self.ingestion_id = created["id"]

    async def follow(self, **schema_rules: Any) -> None:
        """From now on the definition says this about the columns, in the words of the API; None: the default."""
        if not self.ingestion_id:
            await self.create()
        path = f"/api/v1/ingestions/{self.ingestion_id}"
        answer = await self.autoloader.client.patch(path, json={"format": {"schema": schema_rules}})
        assert answer.is_success, answer.text

    async def mend_access(self, endpoint_url: str) -> None:
        """The ingestion gets credentials that are right."""
        path = f"/api/v1/ingestions/{self.ingestion_id}"
        answer = await self.autoloader.client.patch(path, json={"source": {"credentials": access(endpoint_url)}})
        assert answer.is_success, answer.text

    async def end_of(self, run_id: str, within_s: float = RECOVERY_S) -> dict[str, Any]:
        """The run, once it has ended by itself."""
        latest: dict[str, Any] = {}

        async def is_over() -> bool:
            latest.update(await self.autoloader.run_of(self.ingestion_id, run_id))
            return latest["status"] in FINAL

        await eventually(is_over, within_s, what=f"the run of {self.name} ends")
        return latest

    async def run(self, status: str = "success", **options: Any) -> dict[str, Any]:
        """A run from its request to its end, which is ``status``."""
        ended = await self.end_of(await self.begin(**options))
        assert status == ended["status"], self.story_of(ended)
        return ended

    def story_of(self, run: dict[str, Any]) -> str:
        return "\n".join([json.dumps(run, indent=1), *self.autoloader.complaints()])

    async def check(self) -> None:
        """The oracle has nothing to say."""
        verdict = await Oracle(self.autoloader, self.spark).judge(self.ingestion_id, self.table, self.ids)
        self.faults.judged(verdict)
        assert Counter(self.bad) == await asyncio.to_thread(self._quarantined)

    def _quarantined(self) -> Counter[tuple[str, int]]:
        name = f"{self.table}__quarantine"
        if not self.spark.catalog.tableExists(name):
            return Counter()
        return Counter((row["file"], row["line"]) for row in self.spark.sql(f"SELECT file, line FROM {name}").collect())

    def check_logs(self, secret: str) -> None:
        """Nobody has written it down."""
        assert [] == [line for service in self.autoloader.running for line in service.log if secret in line]

    def clean(self) -> None:
        with suppress(Exception):  # the case may have ended before there was a table
            for name in (self.table, f"{self.table}__quarantine"):
                self.spark.sql(f"DROP TABLE IF EXISTS {name} PURGE").collect()
        keys = sorted(self.keys)
        for at in range(0, len(keys), 1000):
            self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys[at : at + 1000]]})


@asynccontextmanager
async def landing(autoloader: Installation, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    """A place for the files of one case, with its table, both gone at the end."""
    place = Landing(autoloader, bucket(), spark, faults, f"fault_{uuid4().hex[:10]}")
    try:
        yield place
    finally:
        await asyncio.to_thread(place.clean)


def access(endpoint_url: str, secret: str = SECRET, region: str = REGION) -> dict[str, str]:
    """Credentials as a definition has them."""
    return {
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": secret,
        "endpoint_url": endpoint_url,
        "region": region,
    }


def lines(*rows: object) -> bytes:
    """Newline-delimited JSON."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
