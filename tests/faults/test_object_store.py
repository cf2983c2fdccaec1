"""An object store on a bad day (F38, F39, F52): answers fail, break off or crawl, listings fail midway, keys are
revoked. A short read is never committed, and no key is lost for good."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.faults.cases import BUCKET
from tests.faults.landing import MINIO, SECRET, Landing, landing, lines
from tests.faults.tally import Faults
from tests.support.installation import Installation, installation
from tests.support.s3_proxy import (
    Denied,
    EmptyLastPage,
    FailPage,
    Fault,
    Reset,
    S3Proxy,
    SlowDown,
    Trickle,
    Truncated,
    WrongRegion,
    s3_proxy,
)

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

SEED = int(os.environ.get("AUTOLOADER_TEST_SEED", "7"))
FILLER = "x" * 400
KEYS = 10_500
ASKED_MAX = 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation() as started:
        await asyncio.gather(started.start("scanner"), started.start("executor"))
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def store() -> AsyncIterator[S3Proxy]:
    where = urlsplit(MINIO)
    assert where.hostname is not None
    async with s3_proxy(where.hostname, where.port or 9000, seed=SEED) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="module")
async def files(autoloader: Installation, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    async with landing(autoloader, spark, faults) as place:
        yield place


async def run_to_success(files: Landing, endpoint_url: str, runs_max: int = 3) -> None:
    """A run that the store spoils ends anyhow; the next ones, of a user who tries again, bring what is left."""
    for _ in range(runs_max):
        run = await files.end_of(await files.begin(endpoint_url, max_files_per_trigger=2))
        if run["status"] == "success":
            return
        assert {"storage_unreachable", "spark_failed"} >= {e["error_type"] for e in run["errors"]}, files.story_of(run)
    raise AssertionError(files.story_of(run))


def spoiled(fault: Fault, words: str, *, quick: bool = False) -> Any:
    """One way to spoil answers as a case of its own."""
    return pytest.param(fault, marks=pytest.mark.fault("F38", words, quick=quick), id=words)


@pytest.mark.parametrize(
    "fault",
    [
        spoiled(SlowDown(share=0.5, times=30), "half of the answers are 503, until thirty were"),
        spoiled(Reset(after_bytes=9_000, share=0.5), "half of the bodies are reset midway"),
        spoiled(
            Truncated(after_bytes=9_000, share=0.5), "half of the bodies end early under their full length", quick=True
        ),
        spoiled(Trickle(bytes_per_s=1_000), "bodies crawl at 1 KB/s"),
    ],
)
async def test_answers_fail_break_off_or_crawl(files: Landing, store: S3Proxy, fault: Fault) -> None:
    """Every row of every file is there once in the end, and none that was half read (F38)."""
    for file in range(4):
        await files.put_rows(f"{file}.json", file * 50, 50, FILLER)
    store.faults = [fault]
    await run_to_success(files, store.url)
    assert store.struck > 0, f"nothing was spoiled with seed {SEED}"
    files.faults.inject(store.struck)
    await files.check()


@pytest.mark.fault("F39", "a page of a listing of 10,500 keys fails midway, the last page is empty")
async def test_a_listing_of_many_pages_fails_in_the_middle(files: Landing, store: S3Proxy) -> None:
    """The keys on both sides of the fault are read; an empty page ends the listing (F39).

    Only the keys that the pattern wants are rows: the others are there to be listed.
    """
    await files.put_many({f"fill/{i:06d}.txt": b"-" for i in range(KEYS)})
    for name in ("a.json", "fill/001500.json", "z.json"):
        await files.put_rows(name, len(files.ids), 5)
    store.faults = [FailPage(page=3, times=10), EmptyLastPage()]
    run = await files.end_of(await files.begin(store.url, file_pattern="*.json"))
    if run["status"] != "success":
        assert {"storage_unreachable"} == {e["error_type"] for e in run["errors"]}, files.story_of(run)
    store.faults = [EmptyLastPage()]
    await files.run("success")
    await files.check()
    assert store.struck > 0
    files.faults.inject(store.struck)


@pytest.mark.fault("F39", "keys come and go behind the cursor")
async def test_keys_come_and_go_behind_the_cursor(files: Landing, store: S3Proxy) -> None:
    """While a later page is asked for: what came is loaded by the next run, what went is not missed (F39)."""
    await files.put_many({f"m/{i:06d}.txt": b"-" for i in range(1_500)})
    await files.put_rows("z.json", 0, 5)
    gone = await files.put("b.txt", b"not wanted\n")
    store.faults = [Trickle(bytes_per_s=400_000, on="list-type=2")]
    run_id = await files.begin(store.url, file_pattern="*.json")
    await files.put_rows("a.json", 100, 5)
    await asyncio.to_thread(files.s3.delete_object, Bucket=BUCKET, Key=gone.split("/", 3)[3])
    files.faults.inject(2)
    assert "success" == (await files.end_of(run_id))["status"]
    await files.run("success")
    await files.check()


@pytest.mark.fault("F52", "a wrong secret")
async def test_a_wrong_secret_fails_at_once_with_the_reason(files: Landing, autoloader: Installation) -> None:
    """No retries that lock an account, and the secret is in no log and no answer (F52)."""
    await files.put("a.json", lines({"id": 1}))
    secret = "a-planted-secret-that-nobody-may-see"
    await files.create(MINIO, secret=secret)
    files.faults.inject()
    run = await files.run("failed")
    assert ["access_denied"] == [e["error_type"] for e in run["errors"]], files.story_of(run)
    assert run["metrics"]["duration_seconds"] < 10
    assert secret not in str(run)
    files.check_logs(secret)


@pytest.mark.fault("F52", "access revoked between listing and reading")
async def test_access_is_revoked_between_listing_and_reading(files: Landing, store: S3Proxy) -> None:
    """The run ends with the reason, without a storm of requests; with access again the next run loads it (F52)."""
    await files.put_rows("a.json", 0, 5)
    store.faults = [Denied()]
    files.faults.inject()
    run = await files.run("failed", endpoint_url=store.url)
    assert ["access_denied"] == [e["error_type"] for e in run["errors"]], files.story_of(run)
    assert len(store.asked) < 100
    store.faults = []
    await files.run("success")
    await files.check()


@pytest.mark.fault("F52", "a wrong region, and the store tells the right one")
async def test_a_wrong_region_is_corrected_by_what_the_store_says(files: Landing, store: S3Proxy) -> None:
    """Scanner and Spark both follow, each with a request or two more than otherwise (F52)."""
    await files.put_rows("a.json", 0, 5)
    await files.create(store.url, region="eu-west-3")
    files.faults.inject()
    await files.run("success")
    assert len(store.asked) < ASKED_MAX, store.asked
    await files.check()


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        pytest.param(
            WrongRegion(),
            "wrong_region",
            marks=pytest.mark.fault("F52", "a wrong region, without a word of the right one"),
        ),
        pytest.param(
            WrongRegion(on=r"^(GET|HEAD) /[^/?]+/[^?]+"),
            "storage_refused",
            marks=pytest.mark.fault("F52", "a wrong region, which Spark alone is refused for"),
        ),
    ],
    ids=["all", "reading"],
)
async def test_a_wrong_region_fails_at_once_with_the_reason(
    files: Landing, store: S3Proxy, refused: WrongRegion, code: str
) -> None:
    """Nothing is tried again, and nothing tells the secret; when the region is right the next run loads it (F52)."""
    await files.put_rows("a.json", 0, 5)
    secret = "a-planted-secret-that-nobody-may-see"
    await files.create(store.url, secret=secret if not refused.on else SECRET, region="eu-west-3")
    store.faults = [refused]
    run = await files.run("failed")
    assert [code] == [e["error_type"] for e in run["errors"]], files.story_of(run)
    assert "source.credentials.region" in run["errors"][0]["hint"]
    assert secret not in str(run)
    files.check_logs(secret)
    assert len(store.asked) < ASKED_MAX, store.asked
    files.faults.inject(store.struck)
    store.faults = []
    await files.mend_access(store.url)
    await files.run("success")
    await files.check()
