"""Previewing an ingestion that need not exist: list, read the heads of some files, tell. No ingestion is stored."""

import asyncio
import time
from collections.abc import Callable

from libs.common.clock import utc_now
from libs.common.objects.ports import ObjectStore
from libs.common.storage.engine import Database
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions.schemas import IngestionIn
from services.api.preview.bounds import Bounds
from services.api.preview.listing import Listed
from services.api.preview.reading import sampled
from services.api.preview.schemas import Preview, preview_of
from services.api.preview.warnings import warnings_of
from services.api.sources import source_store, too_long

_LISTING_SHARE, _READING_SHARE = 0.5, 0.25
"""Of the time: what a listing may take that has shown something, and what reading has in any case."""


class Previews:
    """``open_store`` makes a store for one preview, closed behind it (see ``sources``)."""

    def __init__(
        self, database: Database, clusters: Clusters, open_store: Callable[[], ObjectStore], bounds: Bounds
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._open_store = open_store
        self._bounds = bounds

    async def preview(self, caller: Caller, sent: IngestionIn, once: Once | None) -> Answer:
        """200 with what this definition would find and make of it.

        Raises:
            Invalid: ``unknown_cluster``, ``idempotency_key_reused``, ``listing_too_long``, and what is wrong with the
                source, by the store's code.
        """
        self._clusters.url_of(sent.cluster_id)
        shown = await look(sent, self._open_store, self._bounds)

        async def answer() -> Answer:
            return Answer(200, shown.model_dump(mode="json", by_alias=True))

        async with self._database.begin() as connection:
            return await at_most_once(connection, caller, once, answer)


async def look(sent: IngestionIn, open_store: Callable[[], ObjectStore], bounds: Bounds) -> Preview:
    """What a definition would find and make of it.

    Raises:
        Invalid: as ``Previews.preview``, about the source.
    """
    began = time.monotonic()
    async with source_store(open_store) as objects:
        listed = await _listed(objects, sent, bounds)
        files = listed.to_read() if sent.format.is_json_lines else []
        left_s = max(bounds.seconds * _READING_SHARE, bounds.seconds - (time.monotonic() - began))
        sample = await sampled(objects, files, sent.credentials, bounds, left_s, sent)
    warnings = warnings_of(sent, listed, sample, len(files), str(bounds))
    return preview_of(listed, sample, warnings, time.monotonic() - began)


async def _listed(objects: ObjectStore, sent: IngestionIn, bounds: Bounds) -> Listed:
    """As much of the listing as there is time for.

    Raises:
        Invalid: ``listing_too_long``: not even the first page came.
    """
    listed = Listed(sent.source, utc_now(), bounds.files)
    pages = 0
    enough_at = asyncio.get_running_loop().time() + bounds.seconds * _LISTING_SHARE
    try:
        # Waited for longer: the first page, or the client's word that nobody is there.
        async with asyncio.timeout(bounds.seconds) as patience:
            async for page in objects.pages(sent.source.bucket, sent.source.prefix, sent.credentials):
                pages += 1
                listed.add(page)
                patience.reschedule(enough_at)
            listed.is_complete = True
    except TimeoutError as e:
        if not pages:
            raise too_long(sent.source.path, bounds.seconds) from e
    return listed
