"""A refresh: the table's next generation, whole or not at all, whatever crashes.

    look ── fence ── burn what was under way ─┬─ move the old table aside ─┬─ create the new one ───┬─┬─ carry ── end
                                              │                            └─ bring a kept one back ┘ │
                                              ├─ build the new one beside it ─────────────────────────┤
                                              ├─ put other rows into it ──────────────────────────────┤
                                              └─ leave the table as it is ────────────────────────────┘

Each step can be done again, and each is followed by a guarded update of the refresh's phase: whoever takes a refresh
over goes on at the first step that is not recorded. Before the fence a refresh may fail, and has changed nothing;
after it, it is tried until it succeeds. Why no batch of the old generation can reach the new table, and why a frozen
executor that wakes up late cannot take the new table away, stands in docs/explanation/refresh.md.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from libs.common.contracts.codec import Envelope
from libs.common.contracts.events import Problem, RefreshTable
from libs.common.errors import AutoloaderError, Fenced, Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.heartbeat import holding
from libs.common.ids import RefreshId
from libs.common.ledger.batches import BatchLedger
from libs.common.ledger.model.batches import BatchClaim
from libs.common.ledger.model.refreshes import KeptTable, RefreshClaim
from libs.common.ledger.refreshes import RefreshLedger
from libs.common.logs import get_logger
from libs.common.storage.definitions import RunDefinition, RunDefinitions
from services.executor.commit import CommitProtocol
from services.executor.domain.places import BEGINS_ANEW, aside_name, touches_the_place
from services.executor.next_table import check_next, create_next
from services.executor.swap import Swaps, Tables
from services.executor.undo import bring_back, refuse_if_gone

_log = get_logger(__name__)


class Refreshes:
    """Handles refresh commands. One instance per process."""

    def __init__(
        self,
        ledger: RefreshLedger,
        batches: BatchLedger,
        definitions: RunDefinitions,
        tables: Tables,
        protocol: CommitProtocol,
        swaps: Swaps,
        *,
        heartbeat: timedelta,
    ) -> None:
        self._ledger = ledger
        self._batches = batches
        self._definitions = definitions
        self._tables = tables
        self._protocol = protocol
        self._swaps = swaps
        self._heartbeat = heartbeat

    async def on_refresh_table(self, envelope: Envelope) -> None:
        command = envelope.message
        assert isinstance(command, RefreshTable)
        await self._ledger.remember(command)
        await self.work_on(RefreshId(command.refresh_id))

    async def work_on(self, refresh_id: RefreshId) -> None:
        """Sees a refresh to its end, unless somebody else has it or it has ended.

        Raises:
            Fenced: another executor took over.
            Temporary: the database is away.
        """
        claim = await self._ledger.claim(refresh_id)
        if claim is None:
            return
        log = _log.bind(refresh_id=str(refresh_id), ingestion_id=str(claim.ingestion_id), attempt=claim.attempt)
        try:
            async with holding(lambda: self._ledger.extend(claim), every=self._heartbeat):
                await self._see_through(claim)
            log.info("refresh.done")
        except Fenced:
            log.warning("refresh.fenced")
            raise
        except (Temporary, Permanent) as error:
            log.warning("refresh.left", code=error.code, problem=error.message)
            if error.code == "database_unavailable":
                raise
            problem = Problem(error_type=error.code, message=error.message, hint=error.hint)
            await self._ledger.tell(claim, problem, may_pass=isinstance(error, Temporary))
        except asyncio.CancelledError:
            with suppress(AutoloaderError):
                await self._ledger.release(claim)
            raise

    async def _see_through(self, claim: RefreshClaim) -> None:
        order = await self._definitions.of_refresh(claim.id)
        aside = aside_name(order.definition.destination.table, claim)
        phase = await self._ledger.phase(claim)
        if phase == "requested":
            # What cannot work is found out here, while there is nothing to repair.
            async with self._tables.open_place(order) as place:
                standing = await place.look()
                if standing is not None and claim.mode in BEGINS_ANEW and not claim.builds_aside:
                    check_next(order.definition, standing)
                if isinstance(claim.kept, KeptTable):
                    await refuse_if_gone(place, order.definition.destination, claim.kept)
            await self._swaps.check(claim, order)
            await self._ledger.fence(claim)
            failpoint("refresh.after_generation")
            phase = "fenced"
        if phase == "fenced":
            await self._ledger.break_off_scans(claim)
            await self._burn_what_is_under_way(claim, order)
            # Whether there is a table to move is decided once, by a guarded update: where no rename takes the name, one
            # that comes late is not refused, and would move the new table.
            phase = "burned" if await self._is_in_the_way(claim, order) else "dropped"
            await self._ledger.reached(claim, phase)
        if phase == "burned" and claim.builds_aside:
            await self._ledger.reached(claim, "created", builds=await self._swaps.build_aside(claim, order))
            phase = "created"
        if phase == "burned":
            await self._move_aside(claim, order, aside)
            phase = "dropped"
        if phase == "dropped":
            found = await self._put_in_place(claim, order, aside)
            failpoint("refresh.after_create")
            await self._ledger.reached(claim, "created", **found)
            phase = "created"
        if phase == "created":
            await self._ledger.carry_history(claim)
        await self._swaps.clear_away(claim, order)
        failpoint("refresh.before_active")
        await self._ledger.end(claim)

    async def _burn_what_is_under_way(self, claim: RefreshClaim, order: RunDefinition) -> None:
        """Afterwards the old table and the old generation's ledger agree, and stay as they are."""
        while (taken := await self._ledger.seize(claim)) is not None:
            async with holding(lambda: self._batches.extend(taken), every=self._heartbeat):
                if not (await self._batches.standing(taken)).may_be_staged:
                    await self._protocol.give_up(taken, None, claim.reason)
                    continue
                async with self._tables.open(await self._where(taken, order)) as table:
                    await self._protocol.give_up(taken, table, claim.reason)

    async def _where(self, taken: BatchClaim, order: RunDefinition) -> RunDefinition:
        """The order, with the table that the batch was on its way to: it may be one that is built aside."""
        run = await self._definitions.of(UUID(str(taken.run_id)))
        to = run.definition.destination
        return replace(order, definition=order.definition.model_copy(update={"destination": to}))

    async def _put_in_place(self, claim: RefreshClaim, order: RunDefinition, aside: str) -> Mapping[str, Any]:
        """What is to stand there afterwards; returns what the ledger keeps of it."""
        if claim.replaces_all:
            return await self._swaps.take_the_place(claim, order)
        async with self._tables.open_place(order) as place:
            if isinstance(claim.kept, KeptTable):
                await bring_back(place, order.definition.destination, claim, claim.kept)
            elif claim.mode in BEGINS_ANEW and (old := await place.look(aside)) is not None:
                await create_next(place, order.definition, old, claim.to_generation)
        return {}

    async def _is_in_the_way(self, claim: RefreshClaim, order: RunDefinition) -> bool:
        """Whether a table stands there that the refresh has to move, or to leave readable."""
        if not touches_the_place(claim):
            return False
        async with self._tables.open_place(order) as place:
            return await place.look() is not None

    async def _move_aside(self, claim: RefreshClaim, order: RunDefinition, aside: str) -> None:
        async with self._tables.open_place(order) as place:
            failure: AutoloaderError | None = None
            if await place.look(aside) is None and await place.look() is not None:
                try:
                    await place.rename(None, aside)
                except (Temporary, Permanent) as e:
                    failure = e
            # Whatever the answer was, the catalog has the last word.
            old = await place.look(aside)
            if old is None and failure is not None:
                raise failure
        failpoint("refresh.after_drop")
        to = order.definition.destination
        await self._ledger.reached(
            claim,
            "dropped",
            kept_as=None if old is None else f"{to.catalog}.{to.database}.{aside}",
            metadata_location=None if old is None else old.metadata_location,
        )
