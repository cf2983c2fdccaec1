"""`python -m devstack.fetch`: bring everything into the cache without starting anything. Safe to run twice at once."""

import asyncio
import sys

from devstack.console import part_line
from devstack.errors import DevstackError
from devstack.fetch.jars import fetch_jars
from devstack.fetch.minio import fetch_minio
from devstack.fetch.postgres import fetch_postgres
from devstack.pins import pins
from devstack.places import cache_dir
from devstack.together import together


async def fetch_all() -> None:
    """Everything at the same time."""
    cache = cache_dir()
    await together(
        fetch_postgres(cache, part_line("postgres")),
        fetch_minio(cache, part_line("minio")),
        fetch_jars(pins().kafka_jars, cache, part_line("kafka")),
        fetch_jars(pins().spark_jars, cache, part_line("spark")),
    )


if __name__ == "__main__":
    try:
        asyncio.run(fetch_all())
    except DevstackError as failure:
        sys.exit(str(failure))
