"""One ingestion of a few files in a few batches, with its table: what the fault cases are made of."""

import asyncio
import json
import os
import signal
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from libs.common.contracts.definition import OverwritePolicy
from tests.faults.tally import Faults, Struck
from tests.support.eventually import eventually
from tests.support.installation import Installation, ServiceProcess
from tests.support.landing import FINAL, s3_client
from tests.support.oracle import Oracle, Verdict

BUCKET = "autoloader-faults"
FILES = 4
RECORDS = 50
RECOVERY_S = 120.0
SPARK_URL = os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002")


def bucket() -> Any:
    """The store, with the bucket of these tests."""
    return s3_client(BUCKET)


@dataclass
class Case:
    """``ids`` are the rows that its files hold, by key: each of them should be in the table once, but for those of the
    keys ``left_out``, which should not be there. ``overwrites``: what its runs do with overwritten files; ``schema``:
    what is said of the columns."""

    autoloader: Installation
    s3: Any
    spark: Any
    faults: Faults
    name: str
    ids: dict[str, range] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    overwrites: OverwritePolicy = "skip"
    schema: dict[str, Any] = field(default_factory=dict)
    ingestion_id: str = ""
    run_id: str = ""

    @property
    def table(self) -> str:
        return f"test_catalog.faults.{self.name}"

    @property
    def expected(self) -> set[int]:
        return {i for key, ids in self.ids.items() if key not in self.left_out for i in ids}

    def key(self, file: int) -> str:
        return f"{self.name}/{file}.json"

    async def put(self, key: str, ids: range) -> None:
        """A file lands, or is overwritten."""
        body = "\n".join(json.dumps({"id": i, "text": f"row {i}"}) for i in ids).encode()
        await asyncio.to_thread(self.s3.put_object, Bucket=BUCKET, Key=key, Body=body)
        self.ids[key] = ids

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self.s3.delete_object, Bucket=BUCKET, Key=key)
        del self.ids[key]

    async def land(self, *files: int) -> None:
        """File ``n`` has the ids from ``n * RECORDS`` on."""
        for file in files:
            await self.put(self.key(file), range(file * RECORDS, (file + 1) * RECORDS))

    async def begin(self, *, files: int = FILES, files_per_batch: int = 2) -> None:
        """Files land, and a run is asked for."""
        await self.create(files=files, files_per_batch=files_per_batch)
        await self.ask()

    async def create(self, *, files: int = FILES, files_per_batch: int = 2) -> None:
        await self.land(*range(files))
        await self.define(files_per_batch=files_per_batch)

    async def define(self, *, files_per_batch: int = 2) -> None:
        created = await self.autoloader.post(
            "",
            name=self.name,
            cluster_id="local",
            source={
                "path": f"s3://{BUCKET}/{self.name}/",
                "file_pattern": "*.json",
                "max_files_per_trigger": files_per_batch,
                "allow_overwrites": self.overwrites,
            },
            format={"schema": self.schema},
            destination={
                "catalog": "test_catalog",
                "database": "faults",
                "table": self.name,
                "metadata_columns": ["_file_path"] if self.overwrites == "replace" else [],
            },
        )
        self.ingestion_id = created["id"]

    async def ask(self) -> None:
        self.run_id = (await self.autoloader.post(f"/{self.ingestion_id}/run"))["run_id"]

    async def killed(self, victim: ServiceProcess) -> Struck:
        """Waits for the fault to strike."""
        assert -signal.SIGKILL == await victim.ended()
        self.faults.inject()
        return Struck("kill -9")

    async def frozen(self, victim: ServiceProcess) -> Struck:
        """Waits for SIGSTOP to strike."""
        await eventually(lambda: is_stopped(victim.process.pid), RECOVERY_S, what=f"the {victim.name} has frozen")
        self.faults.inject()
        return Struck("SIGSTOP")

    async def ended(self) -> dict[str, Any]:
        """The run, once it has ended by itself."""
        run: dict[str, Any] = {}

        async def is_over() -> bool:
            # The API may be the one that was killed.
            with suppress(httpx.TransportError):
                run.update(await self.autoloader.run_of(self.ingestion_id, self.run_id))
            return run.get("status") in FINAL

        await eventually(is_over, RECOVERY_S, what=f"the run of {self.name} ends")
        return run

    async def succeeded(self, *, since: Struck | None = None) -> dict[str, Any]:
        """The run, which ended in success; ``since`` is when the fault struck, and makes this a recovery."""
        run = await self.ended()
        if since is not None:
            self.faults.recovered(since)
        assert "success" == run["status"], self.story_of(run)
        return run

    async def verdict(self, *, foreign: Collection[int] = (), history_is_whole: bool = True) -> Verdict:
        oracle = Oracle(self.autoloader, self.spark)
        return await oracle.judge(
            self.ingestion_id, self.table, self.expected, foreign=foreign, history_is_whole=history_is_whole
        )

    async def check(self, *, since: Struck | None = None) -> dict[str, Any]:
        """The run ends in success by itself, its counts are those of the source, and the oracle has nothing to say."""
        run = await self.succeeded(since=since)
        self.faults.judged(await self.verdict())
        counted = (run["metrics"]["files_processed"], run["metrics"]["records_ingested"])
        assert (len(self.ids), len(self.expected)) == counted
        return run

    async def sql(self, statement: str) -> list[Any]:
        return await asyncio.to_thread(lambda: list(self.spark.sql(statement).collect()))

    def story_of(self, run: dict[str, Any]) -> str:
        return "\n".join([json.dumps(run, indent=1), *self.autoloader.complaints()])

    def clean(self) -> None:
        # A refresh leaves older generations of the table beside it.
        for row in self.spark.sql(f"SHOW TABLES IN test_catalog.faults LIKE '{self.name}*'").collect():
            self.spark.sql(f"DROP TABLE IF EXISTS test_catalog.faults.{row['tableName']} PURGE").collect()
        for key in self.ids:
            self.s3.delete_object(Bucket=BUCKET, Key=key)


async def is_stopped(pid: int) -> bool:
    """Whether the process is frozen (SIGSTOP)."""

    def state() -> str:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    return await asyncio.to_thread(state) == "T"
