"""MinIO, built once from its Go module: the proxy of Go modules checks the sources against Go's checksum database."""

import os
import shutil
from pathlib import Path
from time import monotonic

from devstack.commands import Say, run
from devstack.errors import DevstackError
from devstack.fetch.once import fetch_once
from devstack.pins import pins

PROGRESS_EVERY_S = 15.0


def minio_folder(cache: Path) -> Path:
    """Where the pinned version's binary lies once built."""
    return cache / f"minio-{pins().minio_version}"


async def fetch_minio(cache: Path, say: Say) -> Path:
    """The path of the `minio` binary."""

    async def make(folder: Path) -> None:
        go = shutil.which("go")
        if go is None:
            raise DevstackError(
                "MinIO is built with Go and there is none on the PATH: install Go, "
                f"put a minio binary at {minio_folder(cache) / 'minio'}, "
                "or start the containers of docker-compose.test.yml and use `autoloader dev up --external`"
            )
        say("building once from source, one to three minutes")
        started = monotonic()
        await run(
            "building MinIO with Go",
            [go, "install", "-v", "-trimpath", "-ldflags=-s -w", f"{pins().minio_module}@{pins().minio_version}"],
            environment={**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": ""},
            directory=folder,
            on_line=_Progress(say),
        )
        say(f"built in {monotonic() - started:.0f} s")

    return await fetch_once(minio_folder(cache), make, say) / "minio"


class _Progress:
    """Go names each module that it downloads and each package that it compiles; tell how many, now and then."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._modules = 0
        self._packages = 0
        self._told_at = monotonic()

    def __call__(self, line: str) -> None:
        if line.startswith("go: downloading"):
            self._modules += 1
        else:
            self._packages += 1
        if monotonic() - self._told_at > PROGRESS_EVERY_S:
            self._told_at = monotonic()
            self._say(f"{self._modules} modules downloaded, {self._packages} packages compiled")
