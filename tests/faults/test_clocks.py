"""Clocks that are an hour ahead or behind (F49). Leases are on the database's clock, so nobody's is taken early or held
too long; what a wrong clock cannot do, a process with a right one does."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import text

from libs.common.aside import ATTEMPTS_MAX
from libs.common.contracts.topics import RUN_REQUESTS
from libs.common.storage.engine import Database
from tests.faults.cases import RECOVERY_S, Case
from tests.faults.landing import MINIO, landing
from tests.faults.tally import Faults
from tests.faults.test_kafka import admin_of, name_of, reader_of
from tests.support.eventually import eventually
from tests.support.installation import SWEEP_S, Installation, ServiceProcess, installation
from tests.support.s3_proxy import s3_proxy

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

AHEAD_S = 3_700
"""A bit more than an hour, which is what Kafka would take."""
BEHIND_S = -AHEAD_S
BATCHES = 8


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def autoloader() -> AsyncIterator[Installation]:
    """Of this module's own: the clock of its API is behind."""
    async with installation(
        modules={"api": "tests.faults.skewed.api"}, settings={"SKEW_S": str(BEHIND_S), "SKEW_SIGNATURES": "right"}
    ) as started:
        yield started


async def start_skewed(autoloader: Installation, name: str, by_s: int, **settings: str) -> ServiceProcess:
    """A service whose clock is wrong. Its requests to object storage are signed by the right time unless told."""
    return await autoloader.start(
        name,
        module=f"tests.faults.skewed.{name}",
        **{"SKEW_S": str(by_s), "SKEW_SIGNATURES": "right", **settings},
    )


async def claims_of(case: Case) -> tuple[int, int]:
    """How often the run's listing, and how often batches, were claimed so far, by whomever."""
    database = Database(case.autoloader.environment["DATABASE_URL"], pool_size=1)
    try:
        async with database.read() as connection:
            counted = await connection.execute(
                text(
                    "SELECT (SELECT sum(attempts) FROM ledger.scan WHERE ingestion_id = :ingestion), "
                    "(SELECT sum(attempts) FROM ledger.batch WHERE ingestion_id = :ingestion)"
                ),
                {"ingestion": case.ingestion_id},
            )
            of_scans, of_batches = counted.one()
            return int(of_scans), int(of_batches)
    finally:
        await database.close()


@pytest.mark.fault("F49", "scanners and executors an hour ahead, an hour behind and right, side by side")
async def test_clocks_that_differ_take_no_lease_from_each_other(case: Case) -> None:
    """Each batch is claimed once, by one of them, and its lease is respected by all."""
    clocks = (AHEAD_S, BEHIND_S)
    await asyncio.gather(
        *(start_skewed(case.autoloader, name, by_s) for name in ("scanner", "executor") for by_s in clocks),
        *(case.autoloader.start(name) for name in ("scanner", "executor")),
    )
    case.faults.inject(2 * len(clocks))
    await case.begin(files=BATCHES, files_per_batch=1)
    await case.check()
    assert (1, BATCHES) == await claims_of(case)
    told = [line for service in case.autoloader.running for line in service.log]
    assert [] == [line for line in told if "fenced" in line]


@pytest.mark.parametrize(
    "frozen_s",
    [
        pytest.param(
            AHEAD_S,
            marks=pytest.mark.fault("F49", "an executor an hour ahead freezes, and one an hour behind takes over"),
            id="ahead",
        ),
        pytest.param(
            BEHIND_S,
            marks=pytest.mark.fault("F49", "an executor an hour behind freezes, and one an hour ahead takes over"),
            id="behind",
        ),
    ],
)
async def test_a_lease_ends_when_the_database_says_so(case: Case, frozen_s: int) -> None:
    """Not an hour later: the other one takes the batch over as from anybody else, and the zombie is fenced."""
    frozen, _ = await asyncio.gather(
        start_skewed(case.autoloader, "executor", frozen_s, AUTOLOADER_FAILPOINT="exec.before_publish:1:stop"),
        case.autoloader.start("scanner"),
    )
    await case.begin()
    struck = await case.frozen(frozen)
    await start_skewed(case.autoloader, "executor", -frozen_s)
    await case.succeeded(since=struck)
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: frozen.says("batch.fenced"), RECOVERY_S, what="the zombie notices")
    await case.check()


@pytest.mark.fault("F49", "a request for a run is lost, and the API is an hour behind")
async def test_an_api_that_is_behind_repeats_a_lost_request_in_time(case: Case) -> None:
    """When it is due by the database's clock."""
    await case.begin()
    topic = name_of(RUN_REQUESTS, case.autoloader)
    async with reader_of(case.autoloader, topic, RUN_REQUESTS.partitions) as (consumer, own):

        async def is_sent() -> bool:
            return case.ingestion_id.encode() in {
                message.key for messages in (await consumer.getmany(timeout_ms=100)).values() for message in messages
            }

        await consumer.seek_to_beginning(*own)
        await eventually(is_sent, RECOVERY_S, what="the request is in its topic")
    async with admin_of(case.autoloader) as admin:
        await admin.delete_topics([topic])
    case.faults.inject()
    # Before there is a scanner, whose sweeper would find the run without any request.
    [api] = case.autoloader.running
    await eventually(partial(api.says, "sweep.requests_repeated"), RECOVERY_S, what="the API asks again")
    await asyncio.gather(case.autoloader.start("scanner"), case.autoloader.start("executor"))
    await case.check()


@pytest.mark.fault("F49", "the store refuses a scanner an hour ahead and an executor an hour behind")
async def test_whose_signatures_are_refused_leaves_the_work_to_others(case: Case) -> None:
    """A scanner, and later an executor, finds that its clock is wrong: it says so, and stands aside for long enough
    that one with a right clock comes by."""
    wrong = {"SKEW_SIGNATURES": "wrong", "AUTOLOADER_SWEEP_INTERVAL_S": str(10 * SWEEP_S)}
    scanner, executor = await asyncio.gather(
        start_skewed(case.autoloader, "scanner", AHEAD_S, **wrong),
        start_skewed(case.autoloader, "executor", BEHIND_S, **wrong),
    )
    await case.begin()
    for service in (scanner, executor):
        await eventually(partial(service.says, "clock.skewed"), RECOVERY_S, what=f"the {service.name} notices")
        case.faults.inject()
        await case.autoloader.start(service.name)
    await case.check()


@pytest.mark.fault("F49", "the store refuses signatures, and nobody's clock is right")
async def test_when_nobodys_clock_is_right_the_run_fails_with_the_reason(
    autoloader: Installation, s3: Any, spark: Any, faults: Faults
) -> None:
    """It names the machine, how far its clock is off, and the remedy; the store is asked a few times at most."""
    where = urlsplit(MINIO)
    assert where.hostname is not None
    async with (
        s3_proxy(where.hostname, where.port or 9000, seed=0) as store,
        landing(autoloader, spark, faults) as files,
    ):
        scanner = await start_skewed(autoloader, "scanner", AHEAD_S, SKEW_SIGNATURES="wrong")
        await files.put_rows("a.json", 0, 5)
        run = await files.run("failed", endpoint_url=store.url)
        faults.inject(len(store.asked))
        [error] = run["errors"]
        assert "clock_skewed" == error["error_type"], files.story_of(run)
        assert f"the clock of {socket.gethostname()} is 1:01:" in error["message"], error
        assert "NTP" in error["hint"]
        assert len(store.asked) <= ATTEMPTS_MAX, store.asked
        await scanner.stop()
        await asyncio.gather(autoloader.start("scanner"), autoloader.start("executor"))
        await files.run("success")
        await files.check()
