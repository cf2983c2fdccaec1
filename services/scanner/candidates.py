"""Where the files of a run are looked for: in a listing of the source, under keys that were named, by a user or by
notifications, among those that failed, or in a plan.

All give pages of file versions as they are now. Whether a run wants them, and whether they are new, is decided
elsewhere (``libs/common/selection``).
"""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from libs.common.errors import Permanent
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.scans import ScanClaim
from libs.common.ledger.scans import ScanLedger
from libs.common.objects.ports import ScannedStore
from libs.common.objects.side_by_side import Place
from libs.common.objects.stretches import Stretch
from libs.common.selection.wanted import Wanted
from libs.common.storage.definitions import RunDefinition
from libs.common.storage.plans import PlannedFiles
from services.scanner.domain.plan_check import changes, told

_KEYS_AT_ONCE = 1000


class Candidates:
    """Of every run of one process. A page of a listing has ``page_keys``, at most."""

    def __init__(
        self, ledger: ScanLedger, objects: ScannedStore, plans: PlannedFiles, *, page_keys: int = 1000
    ) -> None:
        self.page_keys = page_keys
        self._ledger = ledger
        self._objects = objects
        self._plans = plans

    def pages(
        self, claim: ScanClaim, order: RunDefinition, wanted: Wanted, hints_through: int = 0
    ) -> AsyncIterator[Sequence[FileVersion]]:
        """``hints_through``: the latest hint that the run is to look at, if its scope has hints.

        Raises:
            Permanent: code ``plan_outdated``, before the first page; the store's (see ``ObjectStore``).
            Temporary: the store's.
        """
        if order.scope.plan_id is not None:
            return self._planned(claim, order, order.scope.plan_id)
        if order.scope.hinted:
            return self._hinted(claim, order, hints_through)
        if order.scope.failed:
            return self._failed(claim, order)
        if order.scope.keys is not None:
            return self._named(order, order.scope.keys, wanted)
        return self._objects.pages(order.definition.source.bucket, wanted.prefix, order.credentials)

    def stretches(self, order: RunDefinition, prefixes: Sequence[str]) -> AsyncIterator[Sequence[Stretch]]:
        """What a listing of these parts of the source brings, if that is where the run looks for files.

        Raises:
            Permanent, Temporary: the store's (see ``ObjectStore``).
        """
        return self._objects.stretches(order.definition.source.bucket, prefixes, order.credentials)

    async def place(self, order: RunDefinition, prefix: str) -> Place[FileVersion] | None:
        """What lies right below a prefix of the source's bucket (see ``ScannedStore``)."""
        return await self._objects.place(order.definition.source.bucket, prefix, order.credentials)

    async def may_list(self, order: RunDefinition, prefix: str) -> bool:
        """Whether a folder of the source's bucket may be listed by itself (see ``ScannedStore``)."""
        return await self._objects.may_list(order.definition.source.bucket, prefix, order.credentials)

    async def _named(
        self, order: RunDefinition, keys: Sequence[str], wanted: Wanted
    ) -> AsyncIterator[Sequence[FileVersion]]:
        """Looked up, in their order."""
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = [key for key in keys[start : start + _KEYS_AT_ONCE] if wanted.is_named(key)]
            yield await self._there(order, some)

    async def _failed(self, claim: ScanClaim, order: RunDefinition) -> AsyncIterator[Sequence[FileVersion]]:
        """What the ledger knows as failed or missing, as it is now: a source of a million files is not listed for
        three."""
        after: str | None = None
        while keys := await self._ledger.failed_keys(claim, after=after, limit=_KEYS_AT_ONCE):
            yield await self._there(order, keys)
            after = keys[-1]

    async def _hinted(
        self, claim: ScanClaim, order: RunDefinition, through: int
    ) -> AsyncIterator[Sequence[FileVersion]]:
        """What notifications named, as it is now: what they say of it does not count. Before that, what earlier runs
        left waiting, since nobody will notice it again; after it, this run's own would be looked up twice."""
        last: str | None = None
        while keys := await self._ledger.waiting_keys(claim, after=last, limit=_KEYS_AT_ONCE):
            yield await self._there(order, keys)
            last = keys[-1]
        after = 0
        while hints := await self._ledger.hinted_keys(claim, after=after, through=through, limit=_KEYS_AT_ONCE):
            yield await self._there(order, [h.key for h in hints])
            after = hints[-1].seq

    async def _there(self, order: RunDefinition, keys: Sequence[str]) -> Sequence[FileVersion]:
        """Those of the keys that are there, in their order."""
        found = await self._objects.versions(order.definition.source.bucket, keys, order.credentials)
        return [f for f in found.values() if f is not None]

    async def _planned(
        self, claim: ScanClaim, order: RunDefinition, plan_id: UUID
    ) -> AsyncIterator[Sequence[FileVersion]]:
        """All or nothing: every file of the plan is looked at before the first is given out. A scanner that takes over
        from one that has begun goes on: what changed since is told file by file, as in any run."""
        changed: list[str] = []
        files = 0
        has_begun = False
        if not await self._plans.is_there(plan_id):
            raise Permanent("the plan is forgotten", code="plan_outdated", hint="make a new one")
        async for page in self._plans.pages(plan_id):
            files += len(page)
            keys = [f.key for f in page]
            now = await self._objects.versions(order.definition.source.bucket, keys, order.credentials)
            known = await self._ledger.known(claim, page)
            reloads = await self._ledger.reloads(claim, page)
            taken_by = {r.run_id for r in reloads.values()} | {v.run_id for each in known.values() for v in each}
            has_begun = has_begun or claim.run_id in taken_by
            overwrites = order.definition.source.allow_overwrites
            changed += changes(page, now, known, claim.run_id, overwrites=overwrites, reloads=reloads)
        if changed and not has_begun:
            raise Permanent(
                told(changed, files), code="plan_outdated", hint="make a new plan, and look at what it says now"
            )
        async for page in self._plans.pages(plan_id):
            yield page
