"""The part of the executor that runs inside of Spark: made from its Java sources, and put where the executor looks.

With a compiler that any Java can run, against the very classes of the pinned Spark; so a machine needs no JDK.
"""

import asyncio
import tempfile
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from time import monotonic

from devstack.commands import Say, run
from devstack.fetch.jars import fetch_jars
from devstack.java import find_java
from devstack.locks import file_lock
from devstack.pins import pins
from devstack.places import CLONE
from devstack.wheels import require_wheel

SOURCES = CLONE / "services" / "executor" / "java"

_JAVA = "17"  # the oldest that Spark 4 runs on
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the same sources make the same jar, byte for byte


async def make_plain_lines(cache: Path, say: Say) -> Path:
    """The jar, made if there is none from these sources, this compiler and this Spark. It is named by what it was made
    from: Spark takes two jars of one name for the same one, or fails (``Utils.copyFile``), even other users' jobs."""
    async with file_lock(cache / ".plain-lines.lock", say, "another process that makes the executor's jar"):
        made_from = await asyncio.to_thread(_digest)
        jar = SOURCES / f"plain-lines-{made_from}.jar"
        if not jar.exists():
            started = monotonic()
            await _make(jar, made_from, cache, say)
            say(f"{jar.name} made in {monotonic() - started:.0f} s")
            for other in SOURCES.glob("plain-lines-*.jar"):
                if other != jar:
                    other.unlink()
    return jar


async def _make(jar: Path, made_from: str, cache: Path, say: Say) -> None:
    compiler = next((await fetch_jars(pins().compiler_jars, cache, say)).glob("ecj-*.jar"))
    java = await find_java(pins().java_minimum)
    spark = require_wheel("pyspark") / "jars"
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder) / "classes"
        await run(
            "compiling the executor's part inside of Spark",
            [java, "-jar", compiler, "-source", _JAVA, "-target", _JAVA, "-proc:none", "-warn:-all", "-g",
             "-cp", ":".join(map(str, sorted(spark.glob("*.jar")))), "-d", classes, *_sources()],
        )  # fmt: skip
        await asyncio.to_thread(_pack, classes, jar, made_from)


def _sources() -> Sequence[Path]:
    return sorted(SOURCES.rglob("*.java"))


def _digest() -> str:
    """What the jar depends on, in one text."""
    digest = sha256(f"{pins().spark} {_JAVA} {pins().compiler_jars.checksums.read_text()}".encode())
    for source in _sources():
        digest.update(f"{source.relative_to(SOURCES)}\n".encode() + source.read_bytes())
    return digest.hexdigest()[:12]


def _pack(classes: Path, jar: Path, made_from: str) -> None:
    """Renamed at the end, so that nobody finds half of it. It says what it was made from (``Check.java``)."""
    unfinished = jar.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("autoloader/reading/made-from", _NO_TIME), made_from)
        for path in sorted(classes.rglob("*.class")):
            packed.writestr(zipfile.ZipInfo(str(path.relative_to(classes)), _NO_TIME), path.read_bytes())
    unfinished.rename(jar)
