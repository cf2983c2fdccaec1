"""One ingestion under soak: a folder in which files land all the time, and somebody who asks for runs.

The product has no schedules yet; the ticker stands in for cron, through the public API.
"""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.faults.cases import BUCKET
from tests.faults.landing import ACCESS_KEY, SECRET
from tests.soak.api import Api
from tests.soak.book import Book
from tests.support.landing import FINAL

DATABASE = "soak"
LANDS_EVERY_S = (2.0, 8.0)
TICKS_EVERY_S = (4.0, 10.0)
ROWS_IN_A_FILE = (1, 60)
OVERWRITTEN, DELETED = 0.06, 0.02
LATEST = 12
FILLER = "x" * 100
_LOOK_EVERY_S = 0.5


@dataclass
class Source:
    """``refreshes`` has, by the id of each refresh that was accepted, its mode and the moment before it was asked."""

    api: Api
    s3: Any
    name: str
    random: Random
    files_per_batch: int
    book: Book = field(default_factory=Book)
    ingestion_id: str = ""
    refreshes: dict[str, tuple[str, int]] = field(default_factory=dict)
    audits: list[str] = field(default_factory=list)

    @property
    def table(self) -> str:
        return f"test_catalog.{DATABASE}.{self.name}"

    async def create(self, store_url: str) -> None:
        access = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET, "endpoint_url": store_url}
        answer = await self.api.post(
            "",
            name=self.name,
            cluster_id="local",
            source={
                "path": f"s3://{BUCKET}/{self.name}/",
                "file_pattern": "*.json",
                "max_files_per_trigger": self.files_per_batch,
                "credentials": access,
            },
            destination={"catalog": "test_catalog", "database": DATABASE, "table": self.name},
        )
        assert answer.is_success, answer.text
        self.ingestion_id = answer.json()["id"]

    async def first_run(self) -> None:
        """Before anything strikes: a server that was just started is slow, and there is no table yet."""
        await self._land_one()
        run = await self.one_last_run()
        assert run["status"] == "success", run

    async def land_for_ever(self) -> None:
        """New files, under names early or late in the alphabet; now and then one is overwritten or deleted."""
        while True:
            what = self.random.random()
            latest = self.book.there[-LATEST:]
            if latest and what < OVERWRITTEN:
                await self.land(self.random.choice(latest))
            elif latest and what < OVERWRITTEN + DELETED:
                await _to_its_end(self._delete(self.random.choice(latest)))
            else:
                await self._land_one()
            await asyncio.sleep(self.random.uniform(*LANDS_EVERY_S))

    async def _land_one(self) -> None:
        await self.land(f"{self.name}/{self.random.getrandbits(32):08x}.json")

    async def land(self, key: str) -> None:
        ids = self.book.ids(self.random.randint(*ROWS_IN_A_FILE))
        body = b"".join(json.dumps({"id": i, "text": f"row {i} {FILLER}"}).encode() + b"\n" for i in ids)
        await _to_its_end(self._put(key, body, ids))

    async def _put(self, key: str, body: bytes, ids: range) -> None:
        await asyncio.to_thread(self.s3.put_object, Bucket=BUCKET, Key=key, Body=body)
        self.book.landed(key, ids)

    async def _delete(self, key: str) -> None:
        await asyncio.to_thread(self.s3.delete_object, Bucket=BUCKET, Key=key)
        self.book.deleted(key)

    async def tick_for_ever(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(self.random.uniform(*TICKS_EVERY_S))

    async def ask(self) -> str | None:
        """A run, or the one that waits already; None while a refresh is under way."""
        answer = await self.api.post(f"/{self.ingestion_id}/run")
        if answer.status_code == 409 and answer.json()["code"] == "refresh_active":
            return None
        assert answer.is_success, answer.text  # a halt is one of those that are not
        return str(answer.json()["run_id"])

    async def refresh(self, mode: str) -> bool:
        """Whether it was accepted: one at a time is."""
        asked = self.book.moment()
        answer = await self.api.post(f"/{self.ingestion_id}/refresh/{mode}", confirm=True, auto_run=True)
        if answer.status_code == 409:
            return False
        assert answer.is_success, answer.text
        self.refreshes[answer.json()["refresh_id"]] = (mode, asked)
        return True

    async def audit(self) -> dict[str, Any]:
        """A new audit, when it is done or failed."""
        asked = await self.api.post(f"/{self.ingestion_id}/audit")
        assert asked.is_success, asked.text
        while True:
            found: dict[str, Any] = await self.api.get(f"/{self.ingestion_id}/audits/{asked.json()['audit_id']}")
            if found["status"] in ("done", "failed"):
                return found
            await asyncio.sleep(_LOOK_EVERY_S)

    async def one_last_run(self) -> dict[str, Any]:
        """A run that began when nothing else was under way any more, once it has ended."""
        while True:
            ended = await self._ended()
            run_id = await self.ask() if ended else None
            if run_id is None:
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            return await self._end_of(run_id)

    async def _end_of(self, run_id: str) -> dict[str, Any]:
        while True:
            run: dict[str, Any] = await self.api.get(f"/{self.ingestion_id}/runs/{run_id}")
            if run["status"] in FINAL:
                return run
            await asyncio.sleep(_LOOK_EVERY_S)

    def clean(self) -> None:
        """Takes all files away."""
        keys = list(self.book.files)
        for at in range(0, len(keys), 1000):
            self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys[at : at + 1000]]})

    async def _ended(self) -> bool:
        newest = await self.api.get(f"/{self.ingestion_id}/runs")
        return all(run["status"] in FINAL for run in newest)


async def _to_its_end(change: Coroutine[Any, Any, None]) -> None:
    """Also when the soak stops in the middle: a change of the bucket that the book does not know would be strange."""
    task = asyncio.create_task(change)
    try:
        await asyncio.shield(task)
    finally:
        await task
