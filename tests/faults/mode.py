"""How much of the fault suite a pytest run takes."""

import os
from enum import StrEnum

VARIABLE = "AUTOLOADER_FAULTS"


class Mode(StrEnum):
    """``make test`` takes ``quick``; ``python -m tests.faults`` sets the others. ``all`` leaves ``large`` out."""

    QUICK = "quick"
    ALL = "all"
    LARGE = "large"
    NEGATIVE = "negative"


def mode() -> Mode:
    return Mode(os.environ.get(VARIABLE, Mode.QUICK))
