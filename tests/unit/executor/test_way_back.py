"""The way back of an undo's table: whoever looks, and whatever stands where, the steps end with it in its place."""

from itertools import product

import pytest

from libs.common.schema import Field, Struct
from services.executor.domain.places import HOLDS_A_NAME, Step, is_a_table, way_back
from services.executor.whole_table_ports import TableFound

OLD = TableFound(Struct((Field("id", "bigint"),)), "s3://lake/t", None)
STRAY = TableFound(Struct((Field("other", "string"),)), "s3://lake/stray", None)
HOLDER = TableFound(HOLDS_A_NAME, "s3://lake/holder", None)
HERE, KEPT, BETWEEN = "here", "kept", "between"
Places = dict[str, TableFound | None]


def taken(step: Step, at: Places) -> Places:
    """What stands where after the step. A rename to a name that is taken, or of nothing, is no step."""
    match step:
        case Step.CLEAR_THE_WAY:
            assert at[BETWEEN] is None
            return {**at, KEPT: None, BETWEEN: at[KEPT]}
        case Step.HOLD_THE_NAME:
            return {**at, KEPT: at[KEPT] or HOLDER}
        case Step.SET_ASIDE:
            return {**at, HERE: None}
        case Step.TAKE_THE_PLACE:
            assert at[HERE] is None
            return {**at, HERE: at[BETWEEN], BETWEEN: None}
        case _:
            raise AssertionError(step)


@pytest.mark.parametrize(
    "at",
    [
        {HERE: here, KEPT: kept, BETWEEN: between}
        for here, kept, between in product([None, STRAY, OLD], [None, HOLDER, OLD], [None, HOLDER, OLD])
        if [here, kept, between].count(OLD) == 1 and not (kept == OLD and (between == HOLDER or here == STRAY))
    ],
)
def test_from_wherever_the_steps_lead_home(at: Places) -> None:
    """And the kept name is held when the table is there: a rename that comes late has no free target."""
    steps: list[Step] = []
    while (step := way_back(at[HERE], at[KEPT], at[BETWEEN])) is not Step.NONE:
        steps.append(step)
        at = taken(step, at)
        assert len(steps) <= 4, steps
    assert (OLD, HOLDER) == (at[HERE], at[KEPT])
    assert not is_a_table(at[BETWEEN])


def test_the_kept_name_is_held_before_the_table_is_back() -> None:
    """In between, a late rename of the refresh finds no table under the destination's name."""
    at: Places = {HERE: None, KEPT: OLD, BETWEEN: None}
    steps = []
    while (step := way_back(at[HERE], at[KEPT], at[BETWEEN])) is not Step.NONE:
        steps.append(step)
        at = taken(step, at)
        assert at[HERE] is None or at[KEPT] is not None
    assert [Step.CLEAR_THE_WAY, Step.HOLD_THE_NAME, Step.TAKE_THE_PLACE] == steps


def test_a_table_that_is_nowhere_is_lost() -> None:
    """A table that only holds a name is none."""
    assert Step.LOST is way_back(None, HOLDER, None)
    assert Step.LOST is way_back(None, None, HOLDER)
