"""Estimating the cost of an ingestion that need not exist. No ingestion is stored."""

import asyncio
from collections.abc import Callable

from libs.common.clock import utc_now
from libs.common.objects.ports import ObjectStore
from libs.common.storage.engine import Database
from services.api.caller import Caller
from services.api.clusters.registry import Clusters
from services.api.costs.counting import count
from services.api.costs.model import Prices, Speed, estimate
from services.api.costs.schemas import CostEstimate, shown
from services.api.idempotency import Answer, Once, at_most_once
from services.api.ingestions.schemas import IngestionIn
from services.api.sources import source_store, too_long

LISTING_S_MAX = 20.0


class Costs:
    """``speed`` and ``prices`` are the installation's. ``open_store`` makes a store for one estimate, closed behind
    it (see ``sources``)."""

    def __init__(
        self,
        database: Database,
        clusters: Clusters,
        open_store: Callable[[], ObjectStore],
        speed: Speed,
        prices: Prices,
        *,
        seconds_max: float = LISTING_S_MAX,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._open_store = open_store
        self._speed = speed
        self._prices = prices
        self._seconds_max = seconds_max

    async def estimate(self, caller: Caller, sent: IngestionIn, once: Once | None) -> Answer:
        """200 with what loading everything that this definition wants would take and cost.

        Raises:
            Invalid: ``unknown_cluster``, ``idempotency_key_reused``, ``listing_too_long``, and what is wrong with the
                source, by the store's code.
        """
        estimated = await self._estimate(sent)

        async def answer() -> Answer:
            return Answer(200, estimated.model_dump(mode="json"))

        async with self._database.begin() as connection:
            return await at_most_once(connection, caller, once, answer)

    async def _estimate(self, sent: IngestionIn) -> CostEstimate:
        self._clusters.url_of(sent.cluster_id)
        try:
            async with source_store(self._open_store) as store, asyncio.timeout(self._seconds_max):
                counted = await count(store, sent.source, sent.credentials, utc_now())
        except TimeoutError as e:
            raise too_long(sent.source.path, self._seconds_max) from e
        return shown(counted, estimate(counted.work, self._speed, self._prices), self._speed, self._prices)
