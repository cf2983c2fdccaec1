"""How long a preview takes, and how much it transfers: 10 files of 100 MB each, in MinIO on this machine.

    python -m devstack up && python -m bench.preview [FILES] [MB_PER_FILE]

The bytes are counted on the wire, by a proxy between the API's code and the store. Beside it, the same with gzip.
"""

import asyncio
import gzip
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

from bench.stack import remove_bucket, s3_client
from libs.common.contracts.definition import Credentials
from libs.common.objects.s3 import S3Objects
from services.api.ingestions.schemas import IngestionIn
from services.api.preview.bounds import Bounds
from services.api.preview.handlers import look
from services.api.preview.schemas import Preview

SECONDS_MAX, MB_MAX = 10, 50


def main() -> int:
    """Prints one table. Exit code 1 if a preview took longer, or more, than was promised."""
    files, mb = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((1, 10), (2, 100)))
    bucket = f"bench-preview-{uuid4().hex[:8]}"
    s3 = s3_client()
    s3.create_bucket(Bucket=bucket)
    try:
        plain = _lines(mb * 10**6)
        for n in range(files):
            s3.put_object(Bucket=bucket, Key=f"plain/{n:04}.json", Body=plain)
        packed = gzip.compress(plain, 1)
        for n in range(files):
            s3.put_object(Bucket=bucket, Key=f"packed/{n:04}.json.gz", Body=packed)
        print(f"{files} files of {len(plain) / 1e6:,.0f} MB, {len(packed) / 1e6:,.0f} MB with gzip")
        return max([asyncio.run(_measure(bucket, folder)) for folder in ("plain", "packed")])
    finally:
        remove_bucket(s3, bucket)


async def _measure(bucket: str, folder: str) -> int:
    async with _counted() as (url, count):
        began = time.perf_counter()
        preview = await _preview(bucket, folder, url)
        seconds, mb = time.perf_counter() - began, count[0] / 1e6
    print(
        f"  {folder:<8}{seconds:6.2f} s (promised: {SECONDS_MAX})  {mb:6.2f} MB transferred (promised: {MB_MAX})  "
        f"{preview.sample.files} files, {preview.sample.records:,} records, {len(preview.columns)} columns"
    )
    return 0 if seconds < SECONDS_MAX and mb < MB_MAX and preview.sample.records else 1


async def _preview(bucket: str, folder: str, url: str) -> Preview:
    sent = IngestionIn.model_validate(
        {
            "name": "bench",
            "cluster_id": "local",
            "source": {"path": f"s3://{bucket}/{folder}/", "credentials": _access(url).model_dump()},
            "destination": {"catalog": "lake", "database": "bench", "table": "preview"},
        }
    )
    return await look(sent, S3Objects, Bounds())


@asynccontextmanager
async def _counted() -> AsyncIterator[tuple[str, list[int]]]:
    """A way to the store on which the bytes that come back are counted."""
    host, port = _access().endpoint_url.removeprefix("http://").rstrip("/").split(":")  # type: ignore[union-attr]
    count = [0]

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> None:
        try:
            while data := await reader.read(65536):
                count[0] += len(data) if counts else 0
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        with suppress(asyncio.CancelledError):  # the measurement is over
            await asyncio.gather(pump(reader, back, counts=False), pump(there, writer, counts=True))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", count
        server.close()


def _lines(size_bytes: int) -> bytes:
    block = b"".join(
        json.dumps(
            {
                "id": n,
                "timestamp": "2025-01-07T12:34:56Z",
                "user": {"id": f"u{n % 97}", "tags": ["a", "b"]},
                "event_type": "view",
                "value": n / 7,
            }
        ).encode()
        + b"\n"
        for n in range(10_000)
    )
    return block * (size_bytes // len(block) + 1)


def _access(url: str | None = None) -> Credentials:
    return Credentials(
        aws_access_key_id=os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
        aws_secret_access_key=os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
        endpoint_url=url or os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000"),
    )


if __name__ == "__main__":
    sys.exit(main())
