"""Whatever a store, or a program that is none, answers: callers see our errors only, with a remedy, and soon."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from email.utils import format_datetime

import pytest

from libs.common.clock import utc_now
from libs.common.contracts.definition import Credentials
from libs.common.errors import AutoloaderError, Permanent, Temporary
from libs.common.objects.s3 import S3Objects
from tests.unit.common.objects.bad_store import Answer, bad_store, entry, error, http, listing

SECRET = "planted-secret"
SOON_S = 20


@pytest.fixture
async def objects() -> AsyncIterator[S3Objects]:
    made = S3Objects()
    yield made
    await made.close()


def at(url: str, region: str = "us-east-1") -> Credentials:
    return Credentials(aws_access_key_id="me", aws_secret_access_key=SECRET, endpoint_url=url, region=region)


async def listed(objects: S3Objects, access: Credentials) -> list[str]:
    return [f.key async for page in objects.pages("b-1", "", access) for f in page]


async def look(objects: S3Objects, access: Credentials) -> object:
    return await objects.versions("b-1", ["a", "b"], access)


async def trouble(call: Awaitable[object]) -> tuple[type, str]:
    """What a call ends with, soon."""
    async with asyncio.timeout(SOON_S):
        with pytest.raises(AutoloaderError) as caught:
            await call
    assert SECRET not in f"{caught.value} {caught.value.hint}"
    assert caught.value.hint
    return type(caught.value), caught.value.code


async def troubles(
    objects: S3Objects, answers: Mapping[str, Answer], ask: Callable[[S3Objects, Credentials], Awaitable[object]]
) -> dict[str, tuple[type, str]]:
    """What each of these answers becomes. All are asked at once: the client waits between its own retries."""

    async def one(answer: Answer) -> tuple[type, str]:
        async with bad_store(answer) as store:
            return await trouble(ask(objects, at(store.url)))

    return dict(zip(answers, await asyncio.gather(*map(one, answers.values())), strict=True))


BROKEN = {
    "hangs up": b"",
    "speaks another protocol": b"220 mail.example.org ESMTP\r\n",
    "answers a web page": http("<!doctype html><html><body><p>Console<br></body></html>"),
    "answers well-formed XML that is no listing": http("<html><body>Console</body></html>"),
    "answers JSON": http('{"detail": "not here"}'),
    "answers nothing": http(""),
    "cuts the XML short": http("<?xml version='1.0'?><ListBucketResult><Name>b</Name><Contents><Key>a"),
    "sends less than it promised": http("<?xml version='1.0'?><ListBucketResult>", length=5000),
    "sends an entry without a version": listing("<Key>a</Key><Size>3</Size>"),
    "promises more and does not say where": listing(entry("a"), more="<IsTruncated>true</IsTruncated>"),
    "is overloaded": error("SlowDown", "503 Slow Down"),
    "fails": error("InternalError", "500 Internal Server Error"),
    "fails without a word": http("", status="502 Bad Gateway"),
    "waited too long": error("RequestTimeout", "400 Bad Request"),
}


async def test_a_store_that_fails_may_recover(objects: S3Objects) -> None:
    """The run says so; the next one picks up what is left (F38)."""
    found = await troubles(objects, BROKEN, listed)
    assert dict.fromkeys(BROKEN, (Temporary, "storage_unreachable")) == found


REFUSALS = {
    "NoSuchBucket": ("404 Not Found", "bucket_not_found"),
    "PermanentRedirect": ("301 Moved Permanently", "wrong_region"),
    "AuthorizationHeaderMalformed": ("400 Bad Request", "wrong_region"),
    "AccessDenied": ("403 Forbidden", "access_denied"),
    "SignatureDoesNotMatch": ("403 Forbidden", "access_denied"),
    "ExpiredToken": ("400 Bad Request", "access_denied"),
    "SomethingNew": ("403 Forbidden", "access_denied"),
    "MethodNotAllowed": ("405 Method Not Allowed", "storage_refused"),
    "Found": ("302 Found", "storage_refused"),
}


async def test_a_refusal_needs_somebody(objects: S3Objects) -> None:
    """And is not asked again and again (F52)."""
    found = await troubles(objects, {word: error(word, status) for word, (status, _) in REFUSALS.items()}, listed)
    assert {word: (Permanent, code) for word, (_, code) in REFUSALS.items()} == found


async def test_trouble_with_single_objects_is_told_like_that_with_listings(objects: S3Objects) -> None:
    """An answer to HEAD has no body that could say more. Some web servers say 200 to everything."""
    expected = {
        "403 Forbidden": (Permanent, "access_denied"),
        "400 Bad Request": (Permanent, "storage_refused"),
        "503 Slow Down": (Temporary, "storage_unreachable"),
        "200 OK": (Temporary, "storage_unreachable"),
    }
    assert expected == await troubles(objects, {status: http("", status=status) for status in expected}, look)


@pytest.mark.parametrize("ask", [listed, look])
@pytest.mark.parametrize("ahead_s", [3600, -3600])
async def test_a_clock_that_is_wrong_is_named(
    objects: S3Objects, ahead_s: int, ask: Callable[[S3Objects, Credentials], Awaitable[object]]
) -> None:
    """Each answer has a date; an answer to HEAD has nothing else that could tell (F49)."""
    theirs = format_datetime(utc_now() - timedelta(seconds=ahead_s), usegmt=True)
    async with bad_store(http("", status="403 Forbidden", headers=f"Date: {theirs}\r\n")) as store:
        with pytest.raises(Temporary, match=r"is 1:00:0\d " if ahead_s > 0 else r"is (1:00:00|0:59:5\d) ") as caught:
            await ask(objects, at(store.url))
    assert "clock_skewed" == caught.value.code
    assert ("ahead of" if ahead_s > 0 else "behind") in caught.value.message
    assert "NTP" in caught.value.hint


async def test_an_address_where_nobody_listens_fails_soon(objects: S3Objects) -> None:
    """Whatever is asked."""
    nobody = at("http://127.0.0.1:1")
    for found in await asyncio.gather(trouble(listed(objects, nobody)), trouble(look(objects, nobody))):
        assert (Temporary, "storage_unreachable") == found


@pytest.mark.parametrize("ask", [listed, look])
@pytest.mark.parametrize(
    "access",
    [at("http://localhost:99999"), at("http://localhost:9000:x"), at("http://localhost:9000", region="eu west")],
    ids=["port too high", "two ports", "no region"],
)
async def test_an_address_that_cannot_be_is_a_mistake(
    objects: S3Objects, access: Credentials, ask: Callable[[S3Objects, Credentials], Awaitable[object]]
) -> None:
    """In the definition."""
    assert (Permanent, "storage_refused") == await trouble(ask(objects, access))


async def test_a_store_that_sends_everybody_elsewhere_is_asked_twice_at_most(objects: S3Objects) -> None:
    """No endless search for the bucket's region."""
    async with bad_store(http("", status="301 Moved Permanently")) as store:
        assert (Permanent, "wrong_region") == await trouble(listed(objects, at(store.url)))
        assert ["GET", "HEAD"] == [request.split()[0] for request in store.requests]


async def test_a_store_that_repeats_itself_does_not_hold_us_for_ever(objects: S3Objects) -> None:
    """The page after this one is this one, says a broken store."""
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    async with bad_store(listing(entry("a"), more=more)) as store:
        assert (Temporary, "storage_unreachable") == await trouble(listed(objects, at(store.url)))


async def test_a_moment_of_trouble_is_not_noticed(objects: S3Objects) -> None:
    """The client asks again by itself."""
    answers = {1: error("SlowDown", "503 Slow Down"), 2: b""}
    async with bad_store(lambda n: answers.get(n, listing(entry("a")))) as store:
        assert ["a"] == await listed(objects, at(store.url))
        assert 3 == len(store.requests)


async def test_keys_and_etags_are_taken_out_of_their_wrapping(objects: S3Objects) -> None:
    """URL encoding is undone once; quotes of an ETag may be missing; KeyCount and an empty page do not matter."""
    pages = [
        listing(
            entry("a%2520b", etag="bare"),
            entry("c+d%2Be", etag="&quot;quoted-2&quot;"),
            more="<IsTruncated>true</IsTruncated><NextContinuationToken>t+/=</NextContinuationToken>",
        ),
        listing(),
    ]
    async with bad_store(lambda n: pages[n - 1]) as store:
        found = [list(page) async for page in objects.pages("b-1", "", at(store.url))]
    assert [[("a%20b", "bare:3"), ("c d+e", "quoted-2:3")], []] == [
        [(f.key, f.version_tag) for f in page] for page in found
    ]
    assert "continuation-token=t%2B%2F%3D" in store.requests[1]


async def test_stretches_tell_what_came_before_the_trouble(objects: S3Objects) -> None:
    """As pages do: a source whose listing ends at the same place each time is loaded up to there."""
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    found: list[str] = []
    async with bad_store(
        lambda n: listing(entry("a"), entry("b"), more=more) if n == 1 else error("Denied", "403 No")
    ) as s:
        with pytest.raises(Permanent):
            async for stretches in objects.stretches("b-1", [""], at(s.url)):
                found += [f.key for stretch in stretches for f in stretch.read()]
    assert ["a", "b"] == found
