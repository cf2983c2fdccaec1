"""Up to when everything is loaded. Pure.

The watermark of an ingestion is a time before which nothing is left to do: every object that the store had then is
loaded, set aside in quarantine, or left out by the definition. Two things bound it.

*What is known.* A listing of the whole source that came to its end has seen every object that was there when it began.
Notifications prove nothing of the kind: one that was lost looks like an object that never was. So event runs move the
watermark only by finishing files, and a listing alone moves what is known.

*What is unfinished.* A file that waits, is in work, failed, or was gone when it was to be read holds the watermark back
to the time at which it was written: it was not there before.
"""

from datetime import datetime, timedelta

MARGIN = timedelta(seconds=5)
"""Times of objects are on the store's clock and often in whole seconds, those of listings on the database's. Clocks
that somebody keeps right differ by less."""


def reached(listed_from: datetime, oldest_unfinished: datetime | None) -> datetime:
    """The watermark that ledger and store allow now.

    ``listed_from`` is when the latest listing of the whole source began that came to its end; ``oldest_unfinished``
    is when the oldest file was written that is not finished, None if all are.
    """
    bound = listed_from if oldest_unfinished is None else min(listed_from, oldest_unfinished)
    return bound - MARGIN


def advanced(stated: datetime | None, now: datetime) -> datetime:
    """The watermark to state, after ``stated``. It never falls within a generation: somebody may have acted on it. What
    turns up later and is older, as when a pattern is widened, holds it where it is."""
    return now if stated is None else max(stated, now)
