"""Looking at a source that a request describes and nobody has stored."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from libs.common.errors import Invalid, Permanent, Temporary
from libs.common.objects.ports import ObjectStore
from services.api.late_objects import LateObjects


@asynccontextmanager
async def source_store(open_store: Callable[[], ObjectStore]) -> AsyncIterator[ObjectStore]:
    """A store for one request, closed behind it: its credentials are nobody's yet, and must not be kept.

    Raises:
        Invalid: what the store has against the source, by the store's code. It is the sender's store, and not one of
            ours, so being away is a mistake of the request, too.
    """
    store = LateObjects(open_store)
    try:
        yield store
    except Permanent as e:
        raise Invalid(e.message, code=e.code, hint=e.hint) from e
    except Temporary as e:
        raise Invalid(e.message, code=e.code, hint="check source.credentials.endpoint_url and the network") from e
    finally:
        await store.close()


def too_long(path: str, seconds: float) -> Invalid:
    """The refusal of a source whose listing takes more time than a request has."""
    return Invalid(
        f"listing {path} takes more than {seconds:g} s",
        code="listing_too_long",
        hint="ask about a part of it: a longer source.path",
    )
