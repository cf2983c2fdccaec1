"""Where the tables of an ingestion stand: the names that refreshes give them, and the way back of an undo. Pure.

The target of a rename is the compare-and-set of a refresh: a catalog refuses a name that is taken, so the rename of an
executor that wakes up late does nothing. That holds for as long as the name stays taken; so an undo, which takes a kept
table away from its name, leaves an empty table there that holds it.
"""

import re
from enum import Enum, auto
from typing import Final

from libs.common.contracts.events import RefreshMode
from libs.common.ledger.model.refreshes import KeptTable, RefreshClaim
from libs.common.schema import Field, Struct
from services.executor.whole_table_ports import TableFound

BEGINS_ANEW: Final[frozenset[RefreshMode]] = frozenset({"full", "new_only"})
"""An empty table takes the place of the one that was there."""
HOLDS_A_NAME = Struct((Field("this_table_only_holds_a_name", "boolean"),))
"""The columns of a table that is nothing but a name that is taken."""


def touches_the_place(claim: RefreshClaim) -> bool:
    """Whether it needs to know if a table stands there: to give it another name, or to build one beside it. The others
    leave the place as it is."""
    return claim.mode in BEGINS_ANEW or claim.mode == "delete_with_table" or isinstance(claim.kept, KeptTable)


def aside_name(table: str, claim: RefreshClaim) -> str:
    """What the table that stands there is called from now on. No other refresh ever uses this name."""
    return f"{table}__g{claim.from_generation}_{claim.id.hex}"


def between_name(table: str, claim: RefreshClaim) -> str:
    """What a kept table is called on its way back, while its name is not held yet."""
    return f"{table}__undo_{claim.id.hex}"


def stray_name(table: str, claim: RefreshClaim) -> str:
    """What a table is called that was made under the destination's name while the kept one was on its way."""
    return f"{table}__stray_{claim.id.hex}"


def next_location(location: str, generation: int) -> str:
    """A folder of the new table's own, beside the old one's: their files must not mix."""
    return f"{re.sub(r'-g[0-9]+$', '', location.rstrip('/'))}-g{generation}"


class Step(Enum):
    """What brings a kept table nearer to its place."""

    CLEAR_THE_WAY = auto()
    """Give it the name in between."""
    HOLD_THE_NAME = auto()
    """Put an empty table where it stood."""
    TAKE_THE_PLACE = auto()
    """Give it the destination's name."""
    NONE = auto()
    """It is there."""
    SET_ASIDE = auto()
    """Take away what an executor of the old generation, waking up late, made under the destination's name."""
    LOST = auto()
    """It stands under none of the three names."""


def way_back(here: TableFound | None, kept: TableFound | None, between: TableFound | None) -> Step:
    """The next step, from what stands under the destination's name, the kept one's, and the one in between. Whoever
    looks, and whenever, the steps end with the table in its place."""
    if is_a_table(between):
        if kept is None:
            return Step.HOLD_THE_NAME
        return Step.TAKE_THE_PLACE if here is None else Step.SET_ASIDE
    if is_a_table(kept):
        return Step.CLEAR_THE_WAY
    if here is None:
        return Step.LOST
    return Step.HOLD_THE_NAME if kept is None else Step.NONE


def is_a_table(found: TableFound | None) -> bool:
    """Whether there is one, and it does not only hold a name."""
    return found is not None and found.schema != HOLDS_A_NAME
