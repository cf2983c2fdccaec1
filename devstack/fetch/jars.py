"""Jars through Ivy, which travels inside the pyspark wheel.

No Maven, and no address of a registry in this repository.
"""

import asyncio
import os
import shutil
from hashlib import sha256
from pathlib import Path
from time import monotonic
from xml.sax.saxutils import quoteattr

from devstack.commands import Say, run
from devstack.errors import DevstackError
from devstack.fetch.checksums import digests_of, parse_checksums, refuse_differences
from devstack.fetch.once import fetch_once
from devstack.fetch.truststore import java_trust
from devstack.java import find_java
from devstack.pins import JarSet, pins
from devstack.wheels import require_wheel

PROGRESS_EVERY_S = 10.0


async def fetch_jars(jars: JarSet, cache: Path, say: Say) -> Path:
    """The folder with exactly the pinned jars of this set."""

    async def make(folder: Path) -> None:
        started = monotonic()
        await retrieve(jars, folder, cache, say)
        # Right or wrong, Ivy's own copy goes: twice the space if right, the same wrong file at the next try if not.
        await asyncio.to_thread(shutil.rmtree, ivy_cache(jars, cache))
        expected = parse_checksums(jars.checksums.read_text())
        refuse_differences(f"{jars.name} jars", expected, await asyncio.to_thread(digests_of, folder))
        say(f"{len(expected)} jars downloaded and verified in {monotonic() - started:.0f} s")

    return await fetch_once(cache / folder_name(jars), make, say)


def folder_name(jars: JarSet) -> str:
    """A name that changes with the pinned content, so that an old folder is never taken for a new set."""
    return f"{jars.name}-jars-{sha256(jars.checksums.read_bytes()).hexdigest()[:12]}"


def ivy_cache(jars: JarSet, cache: Path) -> Path:
    """Where Ivy keeps what it has so far, so that an interrupted download goes on."""
    return cache / f"ivy-{jars.name}"


async def retrieve(jars: JarSet, folder: Path, cache: Path, say: Say) -> None:
    """Let Ivy put the jars into `folder`, unverified."""
    java = await find_java(pins().java_minimum)
    ivy = sorted((require_wheel("pyspark") / "jars").glob("ivy-*.jar"))
    if not ivy:
        raise DevstackError("the pyspark wheel carries no Ivy: reinstall it with `make setup`")
    module = folder / "ivy.xml"
    module.write_text(ivy_module(jars))
    trust = java_trust(java, folder)
    say(f"downloading {len(jars.jars)} artifacts{' and what they need' if jars.transitive else ''}")
    await run(
        f"downloading the {jars.name} jars",
        [java, *trust, "-jar", ivy[-1], *_ivy_settings(), "-cache", ivy_cache(jars, cache), "-confs", "default",
         "-ivy", module, "-types", "jar", "bundle", "-retrieve", f"{folder}/[artifact]-[revision].[ext]"],
        on_line=_Progress(say),
    )  # fmt: skip
    for path in folder.iterdir():
        if path.suffix != ".jar":
            path.unlink()


def ivy_module(jars: JarSet) -> str:
    """The module description that asks for the set: one Ivy run instead of one for each artifact."""
    lines = [
        f"<dependency org={quoteattr(jar.organisation)} name={quoteattr(jar.name)} rev={quoteattr(jar.version)} "
        f'transitive="{str(jars.transitive and jar is jars.jars[0]).lower()}" conf="default->default"/>'
        for jar in jars.jars
    ]
    return (
        f'<ivy-module version="2.0"><info organisation="autoloader" module={quoteattr(jars.name)}/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{''.join(lines)}</dependencies></ivy-module>"
    )


def _ivy_settings() -> list[str]:
    """A mirror is the machine's business: AUTOLOADER_IVY_SETTINGS names an Ivy settings file."""
    settings = os.environ.get("AUTOLOADER_IVY_SETTINGS")
    return ["-settings", settings] if settings else []


class _Progress:
    """Turns Ivy's chatter into one line every few seconds: first it finds all descriptions, then it brings the jars."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._found = 0
        self._jars = 0
        self._told_at = monotonic()

    def __call__(self, line: str) -> None:
        words = line.split()
        self._found += words[:1] == ["found"]
        self._jars += "[SUCCESSFUL" in words
        if monotonic() - self._told_at > PROGRESS_EVERY_S:
            self._told_at = monotonic()
            self._say(f"{self._jars} jars downloaded" if self._jars else f"{self._found} artifacts found")
