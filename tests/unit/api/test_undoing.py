"""Which refreshes can be undone, as a table of cases."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from libs.common.contracts.definition import Definition
from libs.common.errors import Conflict
from services.api.refresh.undoing import refuse_undo, undo_until

DONE = datetime(2025, 1, 7, tzinfo=UTC)
WEEK = timedelta(days=7)
ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)


def definition(table: str = "flights") -> Definition:
    return Definition.model_validate(
        {
            "name": "Flights",
            "cluster_id": "local",
            "source": {"path": "s3://landing/flights/"},
            "destination": {"catalog": "lake", "database": "demo", "table": table},
        }
    )


def refresh(id_: UUID = ONE, **changes: Any) -> Any:
    row = {
        "id": id_,
        "ingestion_id": UUID(int=9),
        "mode": "full",
        "status": "success",
        "kept_as": "lake.demo.flights__g1_x",
        "builds": None,
        "is_building": False,
        "swap_status": None,
        "is_undone": False,
        "ended_at": DONE,
        "definition": definition().model_dump(mode="json", by_alias=True),
    }
    return SimpleNamespace(**{**row, **changes})


UNDO = refresh(UUID(int=4), mode="undo")
BUILDING = refresh(kept_as=None, builds="lake.demo.flights__new_x", is_building=True)
SWAPPED = refresh(
    kept_as=None, builds="lake.demo.flights__new_x", swap_status="success", swap_ended_at=DONE + WEEK / 2,
    swap_replaced_snapshot=17,
)  # fmt: skip


def judge(row: Any, *since: Any, now: datetime = DONE, to: Definition | None = None) -> None:
    refuse_undo(row, since, to or definition(), now=now, kept_for=WEEK)


@pytest.mark.parametrize(
    ("row", "since"),
    [
        pytest.param(refresh(), (), id="the latest one"),
        pytest.param(refresh(mode="new_only"), (), id="of either kind"),
        pytest.param(BUILDING, (), id="it builds its table aside"),
        pytest.param(SWAPPED, (), id="its rows took the place of others"),
        pytest.param(refresh(), (refresh(TWO, is_undone=True), UNDO), id="the one after it was undone"),
    ],
)
def test_it_can_be_undone(row: Any, since: tuple[Any, ...]) -> None:
    judge(row, *since)


@pytest.mark.parametrize(
    ("row", "since", "code", "hint"),
    [
        pytest.param(refresh(status="failed"), (), "nothing_to_undo", "lists the refreshes", id="it failed"),
        pytest.param(refresh(kept_as=None), (), "nothing_to_undo", "lists the refreshes", id="there was no table"),
        pytest.param(UNDO, (), "nothing_to_undo", "lists the refreshes", id="an undo"),
        pytest.param(refresh(is_undone=True), (UNDO,), "undone_already", "refresh/full", id="undone"),
        pytest.param(refresh(), (refresh(TWO),), "refreshed_since", f"{TWO}/undo", id="refreshed again"),
        pytest.param(
            refresh(),
            (refresh(TWO, is_undone=True), UNDO, refresh(THREE)),
            "refreshed_since",
            f"{THREE}/undo",
            id="anew",
        ),
    ],
)
def test_it_cannot_be_undone(row: Any, since: tuple[Any, ...], code: str, hint: str) -> None:
    """With the way out."""
    with pytest.raises(Conflict) as refused:
        judge(row, *since)
    assert code == refused.value.code
    assert hint in refused.value.hint


def test_it_can_be_undone_for_as_long_as_was_promised() -> None:
    """And not a second longer; the refusal says where the old table is."""
    assert DONE + WEEK == undo_until(refresh(), WEEK)
    assert undo_until(refresh(is_undone=True), WEEK) is None
    judge(refresh(), now=DONE + WEEK)
    with pytest.raises(Conflict) as refused:
        judge(refresh(), now=DONE + WEEK + timedelta(seconds=1))
    assert "undo_too_late" == refused.value.code
    assert "lake.demo.flights__g1_x" in refused.value.hint


def test_rows_that_were_replaced_come_back_for_as_long_from_then_on() -> None:
    """The refusal says which snapshot has them; what is still built aside can be given up at any time."""
    assert DONE + WEEK * 3 / 2 == undo_until(SWAPPED, WEEK)
    judge(SWAPPED, now=DONE + WEEK * 3 / 2)
    with pytest.raises(Conflict) as refused:
        judge(SWAPPED, now=DONE + 2 * WEEK)
    assert "undo_too_late" == refused.value.code
    assert "lake.demo.flights VERSION AS OF 17" in refused.value.hint
    judge(BUILDING, now=DONE + 9 * WEEK)


def test_a_table_comes_back_to_its_own_name_only() -> None:
    """The destination was changed since."""
    with pytest.raises(Conflict) as refused:
        judge(refresh(), to=definition("planes"))
    assert "destination_changed" == refused.value.code
