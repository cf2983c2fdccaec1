"""Whether files are worth the faster way (``adapters.reading.plain_files``), by how it went with those before them.

A batch whose files turn out not to be plain is read twice. Files of one ingestion are alike: so after such a batch the
faster way is left alone for a while, twice as long each time, until it works again.
"""

from collections import OrderedDict
from typing import Final

from libs.common.ids import IngestionId

LEFT_ALONE_MAX: Final = 64
"""Batches."""
REMEMBERED_MAX: Final = 10_000
"""Ingestions, those that were asked for last."""


class Habit:
    """What the files of one ingestion are like."""

    def __init__(self) -> None:
        self._left_alone = 0
        self._last = 0

    def is_worth_a_try(self) -> bool:
        """Whether the next batch, about to be read, should be tried. Counts the batch."""
        if not self._left_alone:
            return True
        self._left_alone -= 1
        return False

    def found(self, *, plain: bool) -> None:
        """What came of a try."""
        self._last = 0 if plain else min(max(1, 2 * self._last), LEFT_ALONE_MAX)
        self._left_alone = self._last

    def broke_off(self) -> None:
        """A try came to nothing, for whatever reason: the next one is left alone, so that it is not met twice."""
        self._left_alone = max(self._left_alone, 1)


class Habits:
    """Those of all ingestions."""

    def __init__(self) -> None:
        self._known: OrderedDict[IngestionId, Habit] = OrderedDict()

    def of(self, ingestion: IngestionId) -> Habit:
        habit = self._known.setdefault(ingestion, Habit())
        self._known.move_to_end(ingestion)
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return habit
