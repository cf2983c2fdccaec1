"""`python -m devstack.fetch.pin`: take today's jars as the new truth.

Downloads what deploy/versions.toml names and records the checksums beside it.
"""

import asyncio
import tempfile
from pathlib import Path

from devstack.console import part_line
from devstack.fetch.checksums import digests_of, format_checksums
from devstack.fetch.jars import retrieve
from devstack.pins import pins
from devstack.places import cache_dir


async def record() -> None:
    """Rewrite all lists. Read the difference before you commit it."""
    for jars in (pins().kafka_jars, pins().spark_jars, pins().compiler_jars):
        with tempfile.TemporaryDirectory() as folder:
            await retrieve(jars, Path(folder), cache_dir(), part_line(jars.name))
            jars.checksums.parent.mkdir(exist_ok=True)
            jars.checksums.write_text(format_checksums(digests_of(Path(folder))))


if __name__ == "__main__":
    asyncio.run(record())
