"""What a run would take if it began now: a listing, sorted with the scanner's own decisions. Nothing is written."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from libs.common.contracts.definition import Credentials, Source
from libs.common.contracts.scope import Scope
from libs.common.errors import Invalid
from libs.common.ids import RunId
from libs.common.ledger.model.files import FileVersion, KnownVersion
from libs.common.objects.ports import ObjectStore
from libs.common.selection.caps import Cap, limited
from libs.common.selection.select import Terms, select
from libs.common.selection.wanted import Wanted
from services.api.costs.model import Work, batches_of

Known = Callable[[Sequence[FileVersion]], Awaitable[Mapping[bytes, Sequence[KnownVersion]]]]

_NOBODY = RunId(UUID(int=0))
"""The run that would take the files; it has taken none so far."""


@dataclass(slots=True)
class Survey:
    """What was found. The rows of ``replacing`` would take the place of others; ``files`` are the rest."""

    files: list[FileVersion] = field(default_factory=list)
    replacing: list[FileVersion] = field(default_factory=list)
    keys_listed: int = 0
    skipped: int = 0
    refused: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def all_files(self) -> list[FileVersion]:
        return [*self.files, *self.replacing]

    def work(self, source: Source) -> Work:
        sizes = [sum(f.size_bytes for f in some) for some in (self.files, self.replacing)]
        batches = [
            batches_of(len(some), size_bytes, source.max_files_per_trigger, source.max_bytes_per_trigger)
            for some, size_bytes in zip((self.files, self.replacing), sizes, strict=True)
        ]
        return Work(self.keys_listed, len(self.all_files), sum(sizes), sum(batches))


async def survey(
    objects: ObjectStore,
    source: Source,
    access: Credentials | None,
    wanted: Wanted,
    scope: Scope,
    known: Known,
    *,
    files_max: int,
) -> Survey:
    """Lists what the scope needs, and asks ``known`` for what the ledger has of each page.

    Raises:
        Invalid: code ``plan_too_large``.
        Permanent, Temporary: the store's (see ``ObjectStore``).
    """
    found, cap, terms = Survey(), Cap.of(scope), Terms(source.allow_overwrites)
    async for page in _pages(objects, source, access, wanted, scope):
        found.keys_listed += len(page)
        files = wanted.of(page)
        sorted_out = limited(select(files, await known(files), _NOBODY, terms), cap)
        found.files += sorted_out.taken
        found.replacing += sorted_out.reloaded
        found.skipped += sorted_out.skipped
        found.refused += len(sorted_out.refused)
        if len(found.all_files) > files_max:
            raise Invalid(
                f"more than {files_max:,} files would be loaded, and a plan names each",
                code="plan_too_large",
                hint="plan a backfill of a part, or one with max_files",
            )
        if cap.is_reached:
            break
    found.warnings = cap.warnings()
    return found


async def _pages(
    objects: ObjectStore, source: Source, access: Credentials | None, wanted: Wanted, scope: Scope
) -> AsyncIterator[Sequence[FileVersion]]:
    if scope.keys is None:
        async for page in objects.pages(source.bucket, wanted.prefix, access):
            yield page
        return
    found = await objects.versions(source.bucket, scope.keys, access)
    yield [f for f in found.values() if f is not None]
