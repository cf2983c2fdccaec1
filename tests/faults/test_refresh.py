"""Refreshes (F15–F18, F34, F35), with real processes, really killed: the new table holds the rows of the new
generation, each once, and nothing of an older one."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.faults.cases import BUCKET, RECOVERY_S, is_stopped
from tests.support.eventually import eventually
from tests.support.installation import Installation, ServiceProcess, installation
from tests.support.landing import FINAL

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

RECORDS = 20
CONFIRMED = {"confirm": True, "auto_run": True}
REFRESH_POINTS = ["refresh.after_generation", "refresh.after_drop", "refresh.after_create", "refresh.before_active"]
BATCH_POINTS = [
    "exec.after_claim",
    "exec.during_stage",
    "exec.after_stage",
    "exec.after_audit",
    "exec.before_publish",
    "exec.during_publish",
    "exec.after_publish",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation(settings={"AUTOLOADER_REFRESH_WAIT_S": "0"}) as started:
        yield started


@dataclass
class Case:
    """One ingestion with its table; file ``n`` has the ids from ``n * RECORDS`` on."""

    autoloader: Installation
    s3: Any
    spark: Any
    name: str
    ingestion_id: str = ""
    files: list[int] = field(default_factory=list)

    async def land(self, *files: int) -> None:
        for number in files:
            lines = [json.dumps({"id": number * RECORDS + i}) for i in range(RECORDS)]
            body = "\n".join(lines).encode()
            await asyncio.to_thread(self.s3.put_object, Bucket=BUCKET, Key=f"{self.name}/{number}.json", Body=body)
            self.files.append(number)

    async def create(self) -> None:
        created = await self.autoloader.post(
            "",
            name=self.name,
            cluster_id="local",
            source={"path": f"s3://{BUCKET}/{self.name}/", "file_pattern": "*.json", "max_files_per_trigger": 2},
            destination={"catalog": "test_catalog", "database": "faults", "table": self.name},
        )
        self.ingestion_id = created["id"]

    async def run(self) -> str:
        return str((await self.autoloader.post(f"/{self.ingestion_id}/run"))["run_id"])

    async def run_to_end(self, generation: int = 1) -> dict[str, Any]:
        run_id = await self.run()
        await self.settled(generation)
        return await self.autoloader.run_of(self.ingestion_id, run_id)

    async def refresh(self, mode: str = "full") -> dict[str, Any]:
        return await self.autoloader.post(f"/{self.ingestion_id}/refresh/{mode}", **CONFIRMED)

    async def ingestion(self) -> dict[str, Any]:
        answer = await self.autoloader.client.get(f"/api/v1/ingestions/{self.ingestion_id}")
        found: dict[str, Any] = answer.json()
        return found

    async def runs(self) -> list[dict[str, Any]]:
        """Newest first."""
        answer = await self.autoloader.client.get(f"/api/v1/ingestions/{self.ingestion_id}/runs")
        found: list[dict[str, Any]] = answer.json()
        return found

    async def settled(self, generation: int = 1) -> None:
        """The generation is active, and no run is left unfinished."""

        async def is_settled() -> bool:
            if (await self.ingestion())["generation"] != generation:
                return False
            return all(run["status"] in FINAL for run in await self.runs())

        try:
            await eventually(is_settled, RECOVERY_S, what=f"generation {generation} of {self.name} is loaded")
        except AssertionError as e:
            raise AssertionError("\n".join([str(e), *self.autoloader.complaints()])) from e

    async def check(self, *files: int) -> None:
        """The oracle: the rows of these files, each once, and nothing else."""
        query = f"SELECT id FROM test_catalog.faults.{self.name}"
        rows = await asyncio.to_thread(lambda: self.spark.sql(query).collect())
        expected = sorted(number * RECORDS + i for number in files for i in range(RECORDS))
        assert expected == sorted(row["id"] for row in rows)
        doubled = f"SELECT file_path FROM test_catalog.faults.{self.name}.files GROUP BY file_path HAVING count(*) > 1"
        assert [] == await asyncio.to_thread(lambda: self.spark.sql(doubled).collect())

    def clean(self) -> None:
        for row in self.spark.sql(f"SHOW TABLES IN test_catalog.faults LIKE '{self.name}*'").collect():
            self.spark.sql(f"DROP TABLE IF EXISTS test_catalog.faults.{row['tableName']} PURGE").collect()
        for number in self.files:
            self.s3.delete_object(Bucket=BUCKET, Key=f"{self.name}/{number}.json")


@pytest_asyncio.fixture(loop_scope="module")
async def case(autoloader: Installation, s3: Any, spark: Any) -> AsyncIterator[Case]:
    case = Case(autoloader, s3, spark, f"refresh_{uuid4().hex[:10]}")
    await case.create()
    yield case
    for service in autoloader.running[1:]:
        await service.stop()
    del autoloader.running[1:]
    await asyncio.to_thread(case.clean)


@pytest.mark.parametrize("point", REFRESH_POINTS)
async def test_a_refresh_killed_in_any_phase_ends_whole(case: Case, point: str) -> None:
    """F15–F18, F34: kill -9 at the point; the next executor goes on where it was, and the run loads every file."""
    victim, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=point), case.autoloader.start("scanner")
    )
    await case.land(0, 1, 2)
    assert "success" == (await case.run_to_end())["status"]
    await case.refresh()
    assert -signal.SIGKILL == await victim.ended()
    await case.autoloader.start("executor")
    await case.settled(generation=2)
    await case.check(0, 1, 2)
    newest = (await case.runs())[0]
    assert ("refresh", "success", 3) == (newest["trigger"], newest["status"], newest["metrics"]["files_processed"])


@pytest.mark.fault("F34", "a refresh begins at a step of a batch whose executor is frozen there")
@pytest.mark.parametrize("point", BATCH_POINTS)
async def test_a_refresh_at_any_step_of_a_batch_lets_nothing_of_it_through(case: Case, point: str) -> None:
    """F34: the executor froze at the point; another one refreshes; then the frozen one wakes up, and does its worst."""
    frozen, _ = await asyncio.gather(
        case.autoloader.start("executor", failpoint=f"{point}:1:stop"), case.autoloader.start("scanner")
    )
    await case.land(0, 1, 2)
    await case.run()
    await eventually(lambda: is_stopped(frozen.process.pid), RECOVERY_S, what="the executor has frozen")
    await case.refresh()
    await case.autoloader.start("executor")
    await case.settled(generation=2)
    await case.check(0, 1, 2)
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: _has_noticed(frozen), RECOVERY_S, what="the zombie notices")
    await case.land(3)
    assert (1, 3) == _counts(await case.run_to_end(generation=2))
    await case.check(0, 1, 2, 3)


async def test_two_refreshes_at_once(case: Case) -> None:
    """F34: one is taken, the other is told to wait (409); a run is too. After it, the next refresh is welcome."""
    await case.land(0)
    paths = [f"/api/v1/ingestions/{case.ingestion_id}/refresh/{mode}" for mode in ("full", "new-only")]
    answers = await asyncio.gather(*(case.autoloader.client.post(path, json=CONFIRMED) for path in paths))
    assert [202, 409] == sorted(answer.status_code for answer in answers)
    refused = await case.autoloader.client.post(f"/api/v1/ingestions/{case.ingestion_id}/run")
    assert (409, "refresh_active") == (refused.status_code, refused.json()["code"])
    await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    await case.settled(generation=2)
    await case.check(0)
    await case.refresh()
    await case.settled(generation=3)
    await case.check(0)


async def test_new_only_does_not_load_old_files_again(case: Case) -> None:
    """F35: listed again, in this run and in the next; the new ones are loaded, once."""
    await asyncio.gather(case.autoloader.start("executor"), case.autoloader.start("scanner"))
    await case.land(0, 1, 2)
    await case.run_to_end()
    await case.land(3, 4)
    await case.refresh("new-only")
    await case.settled(generation=2)
    await case.check(3, 4)
    assert (2, 3) == _counts((await case.runs())[0])
    again = await case.run_to_end(generation=2)
    assert (0, 5) == _counts(again)
    await case.check(3, 4)


def _counts(run: dict[str, Any]) -> tuple[int, int]:
    return run["metrics"]["files_processed"], run["metrics"]["files_skipped"]


async def _has_noticed(service: ServiceProcess) -> bool:
    return service.says("batch.fenced")
