"""Many keys looked up by a few pages of a listing.

To ask for each object costs a request; a page of a listing tells of a thousand. The keys of a batch mostly stand side
by side, since a listing brought them. Where they do not, a page tells of few of them, and asking goes on as before.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from libs.common.ledger.model.files import FileVersion

TOLD_MIN = 50
"""Keys that a page has to tell of to be worth its price: it takes about as long as that many single requests."""

Page = Callable[[str, str], Awaitable[Sequence[FileVersion]]]
"""One page of the objects under a prefix whose keys come after another key."""


async def listed(keys: Iterable[str], page_after: Page) -> dict[str, FileVersion]:
    """The version that keys have now, as far as pages tell of them for less than single requests would cost.

    Nothing follows from a key's absence: it may be gone, or stand elsewhere (there are stores that list in no order).
    """
    left = sorted(set(keys), key=str.encode)
    prefix = _shared(left[0], left[-1]) if left else ""
    found: dict[str, FileVersion] = {}
    while len(left) >= TOLD_MIN:
        # Nothing that sorts between a key and itself without its last character is likely to be there.
        page = {f.key: f for f in await page_after(prefix, left[0][:-1])}
        told = {key: page[key] for key in left if key in page}
        found |= told
        if len(told) < TOLD_MIN:
            break
        last = max(key.encode() for key in page)
        left = [key for key in left if key.encode() > last]
    return found


def _shared(first: str, last: str) -> str:
    """The prefix of two keys, and of all that sort between them."""
    length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:length]
