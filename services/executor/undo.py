"""The part of an undo that no refresh has: the table that a refresh kept comes back to its place.

    kept name ──▶ name in between ── an empty table holds the kept name ──▶ destination's name

Each step is a statement that a catalog obeys once, and the next step is found by looking; so an executor that takes an
undo over, or that had no answer, goes on from what stands there. Why the kept name must stay taken, and why it is held
before the table is back, stands in docs/explanation/refresh.md.
"""

from libs.common.contracts.definition import Destination
from libs.common.errors import AutoloaderError, Permanent, Temporary
from libs.common.failpoints import failpoint
from libs.common.ledger.model.refreshes import KeptTable, RefreshClaim
from services.executor.domain.layout import PLAIN
from services.executor.domain.places import HOLDS_A_NAME, Step, between_name, is_a_table, stray_name, way_back
from services.executor.whole_table_ports import TablePlace


async def refuse_if_gone(place: TablePlace, to: Destination, kept: KeptTable) -> None:
    """
    Raises:
        Permanent: code ``kept_table_gone``.
    """
    if not is_a_table(await place.look(kept.name)):
        raise Permanent(
            f"the table that the refresh kept as {kept.name} is not there any more",
            code="kept_table_gone",
            hint=f"{_register(to, kept, kept.name)}; undo again then",
        )


async def bring_back(place: TablePlace, to: Destination, claim: RefreshClaim, kept: KeptTable) -> None:
    """Ends with the kept table under the destination's name.

    Raises:
        Temporary, Permanent: it is not there yet; code ``kept_table_gone``, or the catalog's.
    """
    between = between_name(to.table, claim)
    tried: Step | None = None
    failure: AutoloaderError | None = None
    while True:
        # Whatever the answer to the last step was, the catalog has the last word.
        step = way_back(await place.look(), await place.look(kept.name), await place.look(between))
        if step is Step.NONE:
            return
        if step is tried and failure is not None:
            raise failure
        tried, failure = step, None
        try:
            await _take(step, place, to, claim, kept)
        except (Temporary, Permanent) as e:
            failure = e


async def _take(step: Step, place: TablePlace, to: Destination, claim: RefreshClaim, kept: KeptTable) -> None:
    between = between_name(to.table, claim)
    match step:
        case Step.CLEAR_THE_WAY:
            await place.rename(kept.name, between)
            failpoint("undo.after_way_cleared")
        case Step.HOLD_THE_NAME:
            await place.create(HOLDS_A_NAME, PLAIN, name=kept.name)
            failpoint("undo.after_name_held")
        case Step.SET_ASIDE:
            await place.rename(None, stray_name(to.table, claim))
        case Step.TAKE_THE_PLACE:
            await place.rename(between, None)
        case Step.LOST:
            raise Permanent(
                f"the table that the refresh kept as {kept.name} was taken away while it was on its way back",
                code="kept_table_gone",
                hint=f"{_register(to, kept, between)}; the undo then goes on by itself",
            )


def _register(to: Destination, kept: KeptTable, name: str) -> str:
    """How a table comes back that was dropped without its files."""
    return (
        f"if it was dropped without PURGE: CALL {to.catalog}.system.register_table(table => '{to.database}.{name}', "
        f"metadata_file => '{kept.metadata_location}')"
    )
