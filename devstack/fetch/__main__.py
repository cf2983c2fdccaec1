"""`python -m devstack.fetch`: bring everything into the cache without starting anything. Safe to run twice at once."""

import asyncio
import sys

from devstack.console import part_line
from devstack.errors import DevstackError
from devstack.fetch.jars import fetch_jars
from devstack.fetch.minio import fetch_minio
from devstack.fetch.plain_lines import make_plain_lines
from devstack.fetch.postgres import fetch_postgres
from devstack.pins import pins
from devstack.places import cache_dir
from devstack.together import together


async def fetch_all(*, with_minio: bool) -> None:
    """Everything at the same time."""
    cache = cache_dir()
    work = [
        fetch_postgres(cache, part_line("postgres")),
        fetch_jars(pins().kafka_jars, cache, part_line("kafka")),
        fetch_jars(pins().spark_jars, cache, part_line("spark")),
        make_plain_lines(cache, part_line("executor")),
    ]
    if with_minio:
        work.append(fetch_minio(cache, part_line("minio")))
    await together(*work)


if __name__ == "__main__":
    try:
        asyncio.run(fetch_all(with_minio="--without-minio" not in sys.argv))
    except DevstackError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit(130)
