"""What the services ask of object storage. One suite (tests/contract/objects) holds for all adapters."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from libs.common.contracts.definition import Credentials
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.side_by_side import Place
from libs.common.objects.stretches import Stretch


class ObjectStore(Protocol):
    """Reads only. ``credentials`` of None means the installation's own access.

    Raises:
        Permanent: ``bucket_not_found``, ``access_denied``, ``wrong_region``: with the bucket and the remedy.
        Temporary: ``storage_unreachable``: no answer, or one that asks to slow down, after the client's own retries.
    """

    def pages(self, bucket: str, prefix: str, credentials: Credentials | None) -> AsyncIterator[Sequence[FileVersion]]:
        """The objects under a prefix in key order, one page (at most 1,000) at a time; pages may be empty."""
        ...

    async def versions(
        self, bucket: str, keys: Iterable[str], credentials: Credentials | None
    ) -> dict[str, FileVersion | None]:
        """The version that each key has now; None for a key that is gone, or that no object there can have."""
        ...

    async def first_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        """At most ``size_max`` bytes from the start of this very version; no more is asked for. None if the key is
        gone, or holds another version now."""
        ...

    async def last_bytes(self, file: FileVersion, size_max: int, credentials: Credentials | None) -> bytes | None:
        """As ``first_bytes``, from the end."""
        ...


class ScannedStore(ObjectStore, Protocol):
    """What a scanner asks beside that."""

    def stretches(
        self, bucket: str, prefixes: Sequence[str], credentials: Credentials | None
    ) -> AsyncIterator[Sequence[Stretch]]:
        """The objects that ``pages`` gives for each of the prefixes, none of which lies below another. They come in
        stretches that can be recognised the next time, some at a time. Reading one raises what a listing raises."""
        ...

    async def place(self, bucket: str, prefix: str, credentials: Credentials | None) -> Place[FileVersion] | None:
        """All folders and objects right below a prefix. None if nobody can tell: the store may not be asked so, or does
        not answer in order, or there are too many. Never raises; a listing does."""
        ...

    async def may_list(self, bucket: str, prefix: str, credentials: Credentials | None) -> bool:
        """Whether it is allowed to list a folder by itself: some policies allow one prefix only. Never raises."""
        ...
