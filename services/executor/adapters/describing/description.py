"""What is the same for every format that describes itself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from libs.common.contracts.definition import Compression, Credentials
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.ports import ObjectStore
from libs.common.schema import Struct
from services.executor.domain.content import looks_like
from services.executor.ports import FilesUnreadable, SourceChanged

_AT_ONCE: Final = 32
_MAGIC_BYTES: Final = 512
HEADER_BYTES_MAX: Final = 64 * 1024**2
"""What is longer than this is no description that anybody wrote."""


NO_FIELDS: Final = Struct()


@dataclass(frozen=True, slots=True)
class Description:
    """One file's own word. ``schema`` is in the names of ``domain.file_types``; ``rows`` is None where the format does
    not say it; ``compression`` is None where the file's name says it. ``header_lines`` come before its records."""

    schema: Struct = NO_FIELDS
    rows: int | None = None
    compression: Compression | None = None
    header_lines: int = 0


class NotAsDescribed(ValueError):
    """The file is not what its format asks for. The message says why, as the end of a sentence about the file."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of a source's files.

    Raises:
        SourceChanged: the file is gone, or was overwritten since it was listed.
    """

    objects: ObjectStore
    credentials: Credentials | None

    async def first(self, file: FileVersion, size_max: int) -> bytes:
        return _there(await self.objects.first_bytes(file, size_max, self.credentials))

    async def last(self, file: FileVersion, size_max: int) -> bytes:
        return _there(await self.objects.last_bytes(file, size_max, self.credentials))

    async def misnamed(self, file: FileVersion, format_: str) -> NotAsDescribed:
        """What to say of a file that does not have the marks of its format."""
        found = looks_like(await self.first(file, _MAGIC_BYTES))
        return NotAsDescribed(f"it is no {format_} file, or not a whole one: it {found}")


Describe = Callable[[Parts, FileVersion], Awaitable[Description]]
"""Describes one file. Raises ``NotAsDescribed``."""


async def described(describe: Describe, parts: Parts, files: Sequence[FileVersion]) -> Mapping[bytes, Description]:
    """Every file's description, by digest; many are read at once.

    Raises:
        FilesUnreadable: some are not what their format asks for; all of them are named.
        SourceChanged: as ``Parts``.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    reasons: dict[bytes, str] = {}
    found: dict[bytes, Description] = {}

    async def look(file: FileVersion) -> None:
        async with gate:
            try:
                found[file.digest] = await describe(parts, file)
            except NotAsDescribed as e:
                reasons[file.digest] = str(e)
            except RecursionError:
                reasons[file.digest] = "its columns are nested too deeply to be read"

    try:
        async with asyncio.TaskGroup() as group:
            for f in files:
                group.create_task(look(f))
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]  # one is enough; the others are mostly the same
        raise first from first.__cause__
    if reasons:
        raise FilesUnreadable(reasons)
    return found


def _there(part: bytes | None) -> bytes:
    if part is None:
        raise SourceChanged
    return part
