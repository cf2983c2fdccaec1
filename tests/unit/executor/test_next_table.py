"""The tables of a refresh: one that takes another's place, and one that is built aside for its rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID, uuid4

from libs.common.contracts.definition import Definition, Destination
from libs.common.ids import IngestionId, RefreshId
from libs.common.ledger.model.refreshes import RefreshClaim
from libs.common.schema import Field, Struct
from libs.common.storage.definitions import RunDefinition
from services.executor.domain.layout import Layout
from services.executor.next_table import create_next
from services.executor.swap import Guard, Ledger, Swaps, Tables
from tests.support.memory_table import MemoryTablePlace
from tests.support.memory_warehouse import Warehouse

TO = Destination(catalog="lake", database="demo", table="t")
OLD = Layout(parts=("id",), comment="ours")
TEXT = Struct((Field("id", "bigint"), Field("ts", "string")))


class Places:
    """Opens the place of the one table."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    @asynccontextmanager
    async def open_place(self, order: RunDefinition) -> AsyncIterator[MemoryTablePlace]:
        yield MemoryTablePlace(self.warehouse, order.definition.destination)


def definition() -> Definition:
    """By now it wants days."""
    to = TO.model_dump() | {"partitioning": {"enabled": True, "columns": ["days(ts)"]}}
    body = {"name": "n", "cluster_id": "c", "source": {"path": "s3://landing/"}, "destination": to}
    return Definition.model_validate(body)


async def test_the_next_table_follows_the_definition() -> None:
    """In a folder of its own."""
    warehouse = Warehouse()
    place = MemoryTablePlace(warehouse, TO)
    await place.create(TEXT, OLD)
    old = await place.look()
    assert old is not None
    await place.rename(None, "aside")
    await create_next(place, definition(), old, 2)
    new = warehouse.table(TO.identifier)
    assert (("days(`ts`)",), "ours", f"{old.location}-g2") == (new.layout.parts, new.layout.comment, new.location)
    assert ["bigint", "timestamp"] == [f.type for f in new.schema.fields]


async def test_a_table_that_is_built_aside_is_as_the_old_one_is() -> None:
    """Its rows go into the old one: with other columns they could not."""
    warehouse = Warehouse()
    warehouse.create(TO, TEXT, layout=OLD)
    claim = RefreshClaim(
        id=RefreshId(UUID(int=7)),
        ingestion_id=IngestionId(uuid4()),
        mode="full",
        from_generation=1,
        to_generation=2,
        token=1,
        attempt=1,
    )
    order = cast("RunDefinition", type("Order", (), {"definition": definition()}))
    swaps = Swaps(cast("Guard", None), cast("Ledger", None), cast("Tables", Places(warehouse)))
    built = warehouse.table(await swaps.build_aside(claim, order))
    assert (TEXT, OLD) == (built.schema, built.layout)
