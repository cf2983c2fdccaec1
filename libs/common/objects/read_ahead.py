"""The store's next page is under way while somebody works on the last one."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from libs.common.contracts.definition import Credentials
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.ports import ObjectStore


class ReadAhead:
    """An ``ObjectStore``, in front of another one: its listings hold two pages instead of one. For whoever wants all
    pages of a listing, and takes about as long for one as the store does."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.versions = store.versions
        self.first_bytes = store.first_bytes
        self.last_bytes = store.last_bytes

    async def pages(
        self, bucket: str, prefix: str, credentials: Credentials | None
    ) -> AsyncGenerator[Sequence[FileVersion], None]:
        pages = aiter(self._store.pages(bucket, prefix, credentials))
        following = asyncio.ensure_future(_next(pages))
        try:
            while (page := await following) is not None:
                following = asyncio.ensure_future(_next(pages))
                yield page
        finally:
            following.cancel()
            await asyncio.wait([following])


async def _next(pages: AsyncIterator[Sequence[FileVersion]]) -> Sequence[FileVersion] | None:
    return await anext(pages, None)
