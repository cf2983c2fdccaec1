"""The executor's part of an undo, on a catalog in memory: what it says when the kept table is taken from it."""

import pytest

from libs.common.contracts.definition import Destination
from libs.common.errors import Permanent
from libs.common.ids import new_ingestion_id, new_refresh_id
from libs.common.ledger.model.refreshes import KeptTable, RefreshClaim
from services.executor.domain.layout import PLAIN
from services.executor.domain.places import HOLDS_A_NAME, between_name
from services.executor.undo import bring_back, refuse_if_gone
from tests.support.memory_table import MemoryTablePlace
from tests.support.memory_warehouse import Warehouse
from tests.unit.executor.test_way_back import OLD

TO = Destination(catalog="lake", database="demo", table="t")
KEPT = KeptTable("t__g1", 1, "s3://lake/t/metadata/7.json")
CLAIM = RefreshClaim(new_refresh_id(), new_ingestion_id(), "undo", 2, 3, token=1, attempt=1, kept=KEPT)


@pytest.fixture
def place() -> MemoryTablePlace:
    return MemoryTablePlace(Warehouse(), TO)


async def test_a_table_that_only_holds_the_name_is_not_the_kept_one(place: MemoryTablePlace) -> None:
    """Refused before anything is changed, with the statement that brings a dropped one back."""
    await place.create(HOLDS_A_NAME, PLAIN, None, KEPT.name)
    with pytest.raises(Permanent) as refused:
        await refuse_if_gone(place, TO, KEPT)
    assert "kept_table_gone" == refused.value.code
    assert "table => 'demo.t__g1', metadata_file => 's3://lake/t/metadata/7.json'" in refused.value.hint


async def test_a_table_that_is_lost_on_its_way_back_can_be_put_back_on_it(place: MemoryTablePlace) -> None:
    """Under the name in between, as the hint says; then the undo goes on from there."""
    await place.create(HOLDS_A_NAME, PLAIN, None, KEPT.name)
    with pytest.raises(Permanent) as lost:
        await bring_back(place, TO, CLAIM, KEPT)
    assert "kept_table_gone" == lost.value.code
    between = between_name(TO.table, CLAIM)
    assert f"demo.{between}" in lost.value.hint
    await place.create(OLD.schema, PLAIN, None, between)
    await bring_back(place, TO, CLAIM, KEPT)
    found = await place.look()
    assert found is not None
    assert OLD.schema == found.schema
    assert await place.look(between) is None
