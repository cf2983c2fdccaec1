"""A store that holds nothing and lists a lot: as much of S3 as a listing asks for, made up from arithmetic.

    python -m bench.stub_store [PORT [WAIT_S]]

Bucket ``keys-1000000`` has 1,000,000 keys, a thousand in each folder below ``scale/``. It speaks ListObjectsV2 with
prefixes, a delimiter, tokens or ``start-after``, a thousand keys at a time, ``encoding-type=url``. Credentials are not
looked at. A page costs it one replacement in a text that is made once, so that whoever lists is what is measured; and
``WAIT_S``, which passes before each answer.
"""

import asyncio
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import md5
from urllib.parse import parse_qs, quote, urlsplit

from libs.common.ledger.model.files import FileVersion

PREFIX = "scale/"
PAGE = 1000
_PAGE_MARK = "@@@@"
_WRITTEN = datetime(2026, 11, 27, tzinfo=UTC)
_KEY = PREFIX + "dt=2026-11-27/part={page}/events-{page}{place}-0123456789abcdef0123456789abcdef.json"


@contextmanager
def stub_store(wait_s: float = 0) -> Iterator[str]:
    """Its address, for as long as the block runs."""
    command = [sys.executable, "-m", "bench.stub_store", "0", str(wait_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # is ourselves
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def bucket_of(keys: int) -> str:
    return f"keys-{keys}"


def _etag(page: str, place: str) -> str:
    """Begins like a hash, differs from all others, and has the page at one place in the text."""
    return f"{md5(place.encode(), usedforsecurity=False).hexdigest()[:23]}{page}{place}00"


def file_of(bucket: str, number: int) -> FileVersion:
    """The object with this number, as a listing shows it."""
    page, place = f"{number // PAGE:04}", f"{number % PAGE:03}"
    return FileVersion(bucket, _KEY.format(page=page, place=place), _etag(page, place), number % PAGE + 1, _WRITTEN)


def listing(keys: int, query: dict[str, list[str]]) -> bytes:
    """The page of the listing that a request asks for."""
    prefix = query.get("prefix", [""])[0]
    first, end = _below(keys, prefix)
    if "delimiter" in query:
        return _folders(prefix, range(first, end))
    start = first
    if token := query.get("continuation-token"):
        start = int(token[0])
    elif after := query.get("start-after"):
        start = bisect_right(range(keys), after[0], key=lambda number: file_of("", number).key)
    last, end = end, min(end, start - start % PAGE + PAGE)
    more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < last else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket_of(keys)}</Name><Prefix>{PREFIX}</Prefix>{more}<KeyCount>{end - start}</KeyCount>"
        f"<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{'true' if more else 'false'}</IsTruncated>"
        f"{_objects(start, end)}<EncodingType>url</EncodingType></ListBucketResult>"
    ).encode()


def _below(keys: int, prefix: str) -> tuple[int, int]:
    """The numbers of the objects below a prefix: the first, and that behind the last."""

    def head(number: int) -> str:
        return file_of("", number).key[: len(prefix)]

    return bisect_left(range(keys), prefix, key=head), bisect_right(range(keys), prefix, key=head)


def _folders(prefix: str, numbers: range) -> bytes:
    """What lies right below a prefix: folders, of which each object of a page shows the same one."""
    below = (file_of("", number).key[len(prefix) :].partition("/")[0] for number in numbers[::PAGE])
    told = "".join(
        f"<CommonPrefixes><Prefix>{quote(f'{prefix}{name}/', safe='/')}</Prefix></CommonPrefixes>"
        for name in dict.fromkeys(below)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Prefix>{prefix}</Prefix><Delimiter>/</Delimiter><MaxKeys>{PAGE}</MaxKeys><IsTruncated>false</IsTruncated>"
        f"{told}<EncodingType>url</EncodingType></ListBucketResult>"
    ).encode()


def _objects(start: int, end: int) -> str:
    """Of one page, or of the rest of one."""
    if start >= end:
        return ""
    first = start - start % PAGE
    made = _template() if start == first and end == first + PAGE else _template(start - first, end - first)
    return made.replace(_PAGE_MARK, f"{first // PAGE:04}")


@lru_cache(maxsize=64)
def _template(start: int = 0, end: int = PAGE) -> str:
    return "".join(
        f"<Contents><Key>{quote(_KEY.format(page=_PAGE_MARK, place=f'{place:03}'), safe='/@')}</Key>"
        f"<LastModified>2026-11-27T00:00:00.000Z</LastModified>"
        f"<ETag>&#34;{_etag(_PAGE_MARK, f'{place:03}')}&#34;</ETag><Size>{place + 1}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for place in range(start, end)
    )


async def _serve(wait_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            target = urlsplit(head.split(b" ", 2)[1].decode())
            keys = int(target.path.strip("/").removeprefix("keys-"))
            body = listing(keys, parse_qs(target.query))
            if wait_s:
                await asyncio.sleep(wait_s)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _main(port: int, wait_s: float) -> None:
    server = await asyncio.start_server(partial(_serve, wait_s), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    port, wait_s = [*sys.argv[1:], "0", "0"][:2]
    asyncio.run(_main(int(port), float(wait_s)))
