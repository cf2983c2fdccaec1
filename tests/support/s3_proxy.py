"""An object store on a bad day: a proxy that understands requests, and spoils some of their answers.

    async with s3_proxy("localhost", 9000, seed=7) as store:
        store.faults = [SlowDown(share=0.5), Truncated(after_bytes=1000, on="GET .*big.json", times=1)]

Faults are plain values, tried in their order; the first that strikes has the request. ``on`` is searched in
"METHOD /bucket/key?query". Shares are drawn from ``seed``, so one seed and one order of requests give one result.
Signatures stay valid: requests are passed on as they are, Host included.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.proxy import reset, serving

_LISTING = r"^GET [^?]*\?.*list-type=2"
_OBJECT = r"^GET /[^/?]+/[^?]+"
_EMPTY_PAGE = "the-page-after-the-last"
_TICK_S = 0.1
_HEAD_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class SlowDown:
    """503 SlowDown instead of an answer; the store never sees the request."""

    share: float = 1.0
    on: str = ""
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """403 AccessDenied for objects, as if their access had been revoked after the listing."""

    share: float = 1.0
    on: str = r"^(GET|HEAD) /[^/?]+/[^?]+"
    times: int | None = None


@dataclass(frozen=True, slots=True)
class WrongRegion:
    """400 AuthorizationHeaderMalformed, from a store that does not say which region would be right."""

    share: float = 1.0
    on: str = ""
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset when so many bytes of the body have gone out."""

    after_bytes: int
    share: float = 1.0
    on: str = _OBJECT
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Truncated:
    """The body ends early and in good manners, under a header that promises all of it."""

    after_bytes: int
    share: float = 1.0
    on: str = _OBJECT
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Trickle:
    """The body comes at this speed."""

    bytes_per_s: int = 1024
    share: float = 1.0
    on: str = _OBJECT
    times: int | None = None


@dataclass(frozen=True, slots=True)
class FailPage:
    """The ``page``-th page of a listing (from 1, counted since the faults were set) is answered by 500."""

    page: int
    share: float = 1.0
    on: str = _LISTING
    times: int | None = 1


@dataclass(frozen=True, slots=True)
class EmptyLastPage:
    """The last page says that there is one more; that one has no Contents, as MinIO's sometimes."""

    share: float = 1.0
    on: str = _LISTING
    times: int | None = None


Fault = SlowDown | Denied | WrongRegion | Reset | Truncated | Trickle | FailPage | EmptyLastPage


@dataclass(frozen=True, slots=True)
class _Message:
    """A request or an answer: the lines before the body, and the body."""

    head: bytes
    body: bytes = b""

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def asked(self) -> str:
        return self.line.rsplit(" ", 1)[0]

    @property
    def is_head(self) -> bool:
        return self.asked.startswith("HEAD ")

    def header(self, name: str) -> str:
        found = re.search(rb"\r\n" + name.encode() + rb":\s*([^\r]*)", self.head, re.IGNORECASE)
        return found[1].decode("latin-1") if found else ""


@dataclass
class S3Proxy:
    """``struck`` counts spoiled answers, ``asked`` has every request that came; ``read_bytes`` are the bytes of objects
    that the store sent."""

    upstream: tuple[str, int]
    seed: int
    port: int = 0
    struck: int = 0
    read_bytes: int = 0
    asked: list[str] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _times: dict[int, int] = field(default_factory=dict)
    _pages: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def faults(self) -> Sequence[Fault]:
        return tuple(self._faults)

    @faults.setter
    def faults(self, faults: Sequence[Fault]) -> None:
        self._faults = list(faults)
        self._times.clear()
        self._pages = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, request after request. The store is asked on a connection of its own."""
        try:
            from_store, to_store = await asyncio.open_connection(*self.upstream, limit=_HEAD_BYTES_MAX)
        except OSError:
            reset(writer)
            return
        try:
            while (request := await _request(reader, writer)) is not None:
                fault = self._fault_for(request)
                answer = await self._answer(request, fault, from_store, to_store)
                self.read_bytes += len(answer.body) if re.search(_OBJECT, request.asked) else 0
                if not await _send(answer, fault, writer):
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two has gone; so do we
        finally:
            to_store.transport.abort()

    async def _answer(
        self, request: _Message, fault: Fault | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> _Message:
        match fault:
            case SlowDown():
                return _refusal(request, 503, "SlowDown")
            case Denied():
                return _refusal(request, 403, "AccessDenied")
            case WrongRegion():
                return _refusal(request, 400, "AuthorizationHeaderMalformed")
            case FailPage():
                return _refusal(request, 500, "InternalError")
            case EmptyLastPage() if f"continuation-token={_EMPTY_PAGE}" in request.asked:
                return _xml(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        writer.write(request.head + request.body)
        await writer.drain()
        answer = await _response(reader, bodyless=request.is_head)
        return _one_more_page(answer) if isinstance(fault, EmptyLastPage) else answer

    def _fault_for(self, request: _Message) -> Fault | None:
        self.asked.append(request.asked)
        self._pages += bool(re.search(_LISTING, request.asked))
        for fault in self._faults:
            if self._strikes(fault, request):
                self.struck += 1
                self._times[id(fault)] = self._times.get(id(fault), 0) + 1
                return fault
        return None

    def _strikes(self, fault: Fault, request: _Message) -> bool:
        if not re.search(fault.on, request.asked):
            return False
        if fault.times is not None and self._times.get(id(fault), 0) >= fault.times:
            return False
        if isinstance(fault, FailPage) and self._pages < fault.page:
            return False
        return self._random.random() < fault.share


@asynccontextmanager
async def s3_proxy(host: str, port: int, *, seed: int) -> AsyncIterator[S3Proxy]:
    """A proxy in front of a store that speaks plain HTTP, on a free port of this machine."""
    proxy = S3Proxy((host, port), seed)
    async with serving(proxy.serve) as proxy.port:
        yield proxy


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Message | None:
    """The next request of a client; None when it has no more."""
    head = await _head(reader)
    if not head:
        return None
    request = _Message(head)
    if request.header("Expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head)
    return _Message(head, await _body(request, reader))


async def _response(reader: asyncio.StreamReader, *, bodyless: bool) -> _Message:
    answer = _Message(await _head(reader))
    if not answer.head:
        raise ConnectionResetError("the store has closed the connection")
    if bodyless or answer.line.split(" ")[1] in ("204", "304"):
        return answer
    return _Message(answer.head, await _body(answer, reader))


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Up to the empty line; empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def _body(message: _Message, reader: asyncio.StreamReader) -> bytes:
    """As it is on the wire, chunk marks included."""
    if "chunked" not in message.header("Transfer-Encoding").lower():
        return await reader.readexactly(int(message.header("Content-Length") or 0))
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        body += size + await reader.readexactly(int(size.split(b";")[0], 16) + 2)
        if int(size.split(b";")[0], 16) == 0:
            return body


async def _send(answer: _Message, fault: Fault | None, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection can go on."""
    match fault:
        case Reset(after_bytes) | Truncated(after_bytes) if after_bytes < len(answer.body):
            writer.write(answer.head + answer.body[:after_bytes])
            await writer.drain()
            if isinstance(fault, Reset):
                reset(writer)
            else:
                writer.close()
                await writer.wait_closed()
            return False
        case Trickle(bytes_per_s):
            writer.write(answer.head)
            step = max(1, round(bytes_per_s * _TICK_S))
            for at in range(0, len(answer.body), step):
                writer.write(answer.body[at : at + step])
                await writer.drain()
                await asyncio.sleep(_TICK_S)
        case _:
            writer.write(answer.head + answer.body)
            await writer.drain()
    return True


def _one_more_page(answer: _Message) -> _Message:
    last = b"<IsTruncated>false</IsTruncated>"
    if last not in answer.body:
        return answer
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{_EMPTY_PAGE}</NextContinuationToken>"
    return _xml(200, answer.body.replace(last, more.encode()).decode())


def _refusal(request: _Message, status: int, code: str) -> _Message:
    """An answer to HEAD has no body: a client would take it for the next answer."""
    if request.is_head:
        return _Message(b"HTTP/1.1 %d Spoiled\r\nContent-Length: 0\r\n\r\n" % status)
    return _xml(status, f"<Error><Code>{code}</Code><Message>Spoiled on purpose.</Message></Error>")


def _xml(status: int, text: str) -> _Message:
    body = (text if text.startswith("<?xml") else f'<?xml version="1.0" encoding="UTF-8"?>{text}').encode()
    head = f"HTTP/1.1 {status} Spoiled\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return _Message(head.encode(), body)
