"""What the S3 proxy spoils, and what it leaves alone. The store behind it is thirty lines long."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.support.proxy import serving
from tests.support.s3_proxy import (
    Denied,
    EmptyLastPage,
    FailPage,
    Reset,
    S3Proxy,
    SlowDown,
    Trickle,
    Truncated,
    s3_proxy,
)

BODY = b"0123456789" * 20
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>"


async def store(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every GET, in a body or in chunks, and echoes what is PUT."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        length = next(
            (int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0
        )
        sent = await reader.readexactly(length)
        body = LISTING if b"list-type=2" in target else sent if method == b"PUT" else BODY
        if b"chunked" in target:
            writer.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            )
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(b"" if method == b"HEAD" else body)


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[S3Proxy]:
    async with serving(store) as port, s3_proxy("127.0.0.1", port, seed=1) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def client(proxy: S3Proxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.url, trust_env=False, timeout=5) as client:
        yield client


async def test_without_a_fault_everything_passes(client: httpx.AsyncClient, proxy: S3Proxy) -> None:
    """Bodies, chunks, answers without a body, and what is sent, on one connection."""
    assert BODY == (await client.get("/bucket/key")).content
    assert BODY == (await client.get("/bucket/chunked")).content
    assert b"" == (await client.head("/bucket/key")).content
    assert b"sent" == (await client.put("/bucket/key", content=b"sent")).content
    assert b"sent" == (await client.put("/bucket/key", content=b"sent", headers={"Expect": "100-continue"})).content
    assert 0 == proxy.struck
    assert "GET /bucket/key" == proxy.asked[0]


async def test_a_share_of_the_answers_is_503_and_the_seed_says_which(client: httpx.AsyncClient, proxy: S3Proxy) -> None:
    """Two proxies with one seed spoil the same answers."""
    async with s3_proxy(*proxy.upstream, seed=1) as twin:
        for one in (proxy, twin):
            one.faults = [SlowDown(share=0.5)]
        first = [(await client.get("/bucket/key")).status_code for _ in range(40)]
        async with httpx.AsyncClient(base_url=twin.url, trust_env=False) as other:
            second = [(await other.get("/bucket/key")).status_code for _ in range(40)]
    assert first == second
    assert 10 < first.count(503) < 30
    assert first.count(503) == proxy.struck


async def test_a_refusal_is_nothing_but_an_answer(client: httpx.AsyncClient, proxy: S3Proxy) -> None:
    """To HEAD it has no body, so the next answer on the connection is the next answer."""
    proxy.faults = [SlowDown(times=1), Denied(times=1)]
    assert [503, 403, 200] == [(await client.head("/bucket/key")).status_code for _ in range(3)]
    assert BODY == (await client.get("/bucket/key")).content


@pytest.mark.parametrize("fault", [Reset(after_bytes=50, times=1), Truncated(after_bytes=50, times=1)])
async def test_a_body_breaks_off_and_is_whole_the_next_time(
    client: httpx.AsyncClient, proxy: S3Proxy, fault: Reset | Truncated
) -> None:
    """The header has promised all of it, so the client can tell."""
    proxy.faults = [fault]
    with pytest.raises(httpx.TransportError):
        await client.get("/bucket/key")
    assert BODY == (await client.get("/bucket/key")).content
    assert 1 == proxy.struck


async def test_only_what_matches_is_spoiled(client: httpx.AsyncClient, proxy: S3Proxy) -> None:
    """By method and path."""
    proxy.faults = [SlowDown(on="^GET /bucket/key")]
    assert 503 == (await client.get("/bucket/key")).status_code
    assert 200 == (await client.get("/bucket/other")).status_code


async def test_a_body_can_come_slowly(client: httpx.AsyncClient, proxy: S3Proxy) -> None:
    """200 bytes at 500 bytes a second."""
    proxy.faults = [Trickle(bytes_per_s=500)]
    began = time.monotonic()
    assert BODY == (await client.get("/bucket/key")).content
    assert time.monotonic() - began >= 0.25


async def test_one_page_of_a_listing_fails(client: httpx.AsyncClient, proxy: S3Proxy) -> None:
    """The second, once."""
    proxy.faults = [FailPage(2)]
    pages = [(await client.get("/bucket?list-type=2")).status_code for _ in range(3)]
    assert [200, 500, 200] == pages


async def test_a_listing_ends_with_a_page_that_has_nothing(client: httpx.AsyncClient, proxy: S3Proxy) -> None:
    """The page before it is whole, and says how to ask for it."""
    proxy.faults = [EmptyLastPage()]
    last = (await client.get("/bucket?list-type=2")).text
    assert "<Key>a</Key>" in last
    assert "<IsTruncated>true</IsTruncated>" in last
    token = last.split("<NextContinuationToken>")[1].split("<")[0]
    empty = (await client.get(f"/bucket?list-type=2&continuation-token={token}")).text
    assert "<IsTruncated>false</IsTruncated>" in empty
    assert "Contents" not in empty
