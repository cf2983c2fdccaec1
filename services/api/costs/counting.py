"""How much there is to load: a listing of the source, bounded in time. Nothing is written."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.common.contracts.definition import Credentials, Source
from libs.common.ledger.model.files import FileVersion
from libs.common.objects.ports import ObjectStore
from libs.common.selection.wanted import Wanted
from services.api.costs.model import Work, batches_of


@dataclass(frozen=True, slots=True)
class Counted:
    """What a listing shows. ``work`` is what a run would load; ``skipped`` files are wanted, and loaded already."""

    work: Work
    skipped: int


async def count(
    objects: ObjectStore,
    source: Source,
    access: Credentials | None,
    created_at: datetime,
    loaded: Callable[[Sequence[FileVersion]], Awaitable[frozenset[bytes]]] | None = None,
) -> Counted:
    """Lists the whole source of an ingestion that was made at ``created_at``. ``loaded`` says which files of a page
    count as loaded, by digest; without it none does.

    Raises:
        Permanent, Temporary: the store's (see ``ObjectStore``).
    """
    rules = Wanted(source, created_at)
    keys = files = skipped = size_bytes = 0
    async for page in objects.pages(source.bucket, source.prefix, access):
        keys += len(page)
        wanted = rules.of(page)
        known = await loaded(wanted) if loaded is not None and wanted else frozenset[bytes]()
        skipped += len(known)
        files += len(wanted) - len(known)
        size_bytes += sum(f.size_bytes for f in wanted if f.digest not in known)
    batches = batches_of(files, size_bytes, source.max_files_per_trigger, source.max_bytes_per_trigger)
    return Counted(Work(keys, files, size_bytes, batches), skipped)
