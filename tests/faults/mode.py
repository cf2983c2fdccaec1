"""How much of the fault suite a pytest run takes."""

import os
from enum import StrEnum

VARIABLE = "AUTOLOADER_FAULTS"


class Mode(StrEnum):
    """``quick`` is what ``make test`` takes; ``python -m tests.faults`` sets the others."""

    QUICK = "quick"
    ALL = "all"
    NEGATIVE = "negative"


def mode() -> Mode:
    return Mode(os.environ.get(VARIABLE, Mode.QUICK))
