"""How many bytes the object store sends for a batch, beside the bytes of its files.

    python -m devstack run -- python -m bench.bytes_read

Counted by a proxy between Spark (and the executor) and the store, for a table that has the files' columns already.
"""

import asyncio
import os
import sys

from libs.common.contracts.definition import Credentials, Format
from tests.support.traffic import body, measured

FORMATS = ("json", "csv", "parquet", "avro", "orc")
SIZES = ((20, 5_000_000), (100, 200_000))
"""Files, and about how many bytes each has."""
_SAMPLE_ROWS = 2_000


async def main() -> int:
    url = os.environ.get("TEST_SPARK_CONNECT_URL", "sc://localhost:15002")
    access = Credentials(
        aws_access_key_id=os.environ.get("TEST_MINIO_ACCESS_KEY", "minioadmin"),
        aws_secret_access_key=os.environ.get("TEST_MINIO_SECRET_KEY", "minioadmin"),
        endpoint_url=os.environ.get("TEST_MINIO_ENDPOINT", "http://localhost:9000"),
    )
    print(f"{'format':>8}  {'files':>5}  {'bytes of files':>14}  {'bytes sent':>14}  ratio")
    for format_ in FORMATS:
        for files, size_bytes in SIZES:
            rows = size_bytes * _SAMPLE_ROWS // len(body(format_, _SAMPLE_ROWS, 0))
            # A few different ones, many times: making them takes longer than loading them.
            kinds = [body(format_, rows, seed) for seed in range(4)]
            bodies = [kinds[n % len(kinds)] for n in range(files)]
            found = await measured(Format.model_validate({"type": format_}), bodies, url, access)
            print(f"{format_:>8}  {files:>5}  {found.files_bytes:>14,}  {found.read_bytes:>14,}  {found.ratio:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
