"""The source's object store, opened behind the API's back: the AWS client takes longer to import than the rest of the
API together, and nobody should wait for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from libs.common.contracts.definition import Credentials
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.ports import ObjectStore


class LateObjects:
    """An ``ObjectStore`` that is made by ``make`` at its first use."""

    def __init__(self, make: Callable[[], ObjectStore]) -> None:
        self._make = make
        self._made: ObjectStore | None = None

    async def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncIterator[Sequence[FileVersion]]:
        async for page in (await self._objects()).pages(bucket, prefix, credentials):
            yield page

    async def versions(
        self, bucket: str, keys: Iterable[str], credentials: Credentials | None
    ) -> dict[str, FileVersion | None]:
        return await (await self._objects()).versions(bucket, keys, credentials)

    async def first_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        return await (await self._objects()).first_bytes(file, size_max, credentials)

    async def last_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        return await (await self._objects()).last_bytes(file, size_max, credentials)

    async def keep_open(self) -> None:
        """Opens it, so that the first refresh need not, and idles: a task that ends would end the service."""
        await self._objects()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Closes what was opened; does nothing if nothing was."""
        close = getattr(self._made, "close", None)
        if close is not None:
            await close()

    async def _objects(self) -> ObjectStore:
        if self._made is None:
            self._made = await asyncio.to_thread(self._make)  # other requests are answered meanwhile
        return self._made
