"""Partitions as the protocol gives them to a new table, and what a run says of one that has others."""

from dataclasses import replace

import pytest

from libs.common.contracts.definition import Partitioning
from libs.common.contracts.events import FileBatchCommitted
from libs.common.errors import Permanent
from libs.common.ids import new_run_id
from libs.common.schema import Field, Struct
from services.executor.domain.layout import Layout
from tests.integration.executor.world import TO, World, lines


def partition_by(world: World, *columns: str) -> None:
    """From now on the definition says so."""
    to = TO.model_copy(update={"partitioning": Partitioning(enabled=True, columns=columns)})
    world.order = replace(world.order, definition=world.order.definition.model_copy(update={"destination": to}))


def warnings(world: World) -> list[str]:
    facts = world.ledger.facts(world.run_id)
    return [warning for fact in facts if isinstance(fact, FileBatchCommitted) for warning in fact.warnings]


async def test_a_new_table_is_partitioned_as_the_definition_says() -> None:
    """The text whose days are taken is a timestamp in it; there is nothing to warn of."""
    world = World()
    partition_by(world, "days(at)", "bucket(4, ID)")
    await world.attempt(await world.claim(await world.plan(a=lines(1, at="2025-01-07"), b=lines(2, at="2025-01-08"))))
    world.check([1, 2])
    table = world.warehouse.tables[TO.identifier]
    assert ("days(`at`)", "bucket(4, `id`)") == table.layout.parts
    assert Struct((Field("id", "bigint"), Field("at", "timestamp"))) == table.schema
    assert [] == warnings(world)


@pytest.mark.parametrize(
    ("columns", "code"), [(["days(gone)"], "partition_column_missing"), (["days(id)"], "partition_type")]
)
async def test_a_table_that_cannot_be_partitioned_so_is_not_made(columns: list[str], code: str) -> None:
    """The entry is named; corrected, the same files make the table."""
    world = World()
    partition_by(world, *columns)
    batch_id = await world.plan(a=lines(1))
    with pytest.raises(Permanent, match=r"days\(") as refused:
        await world.attempt(await world.claim(batch_id))
    assert code == refused.value.code
    assert {} == world.warehouse.tables
    partition_by(world, "id")
    await world.settle()
    world.check([1])


async def test_a_table_that_is_there_is_written_as_it_stands() -> None:
    """Each run says once what it is partitioned by."""
    world = World()
    world.warehouse.create(TO, Struct((Field("id", "bigint"),)), layout=Layout(parts=("bucket(2, id)",)))
    partition_by(world, "id")
    for key in ("a", "b"):
        await world.attempt(await world.claim(await world.plan(**{key: lines(1)})))
        [told] = warnings(world)
        assert f"{TO.identifier} is partitioned by bucket(2, id), not by id" in told
        world.run_id = new_run_id()
