"""Which columns can be filled from what was rescued."""

import pytest

from libs.common.contracts.reports import ColumnFilled, FillReport
from libs.common.contracts.schema_rules import SchemaRules
from libs.common.ddl import parse_columns
from libs.common.errors import Permanent
from libs.common.ledger.model.columns import Decisions
from services.executor.domain.evolution import Rules
from services.executor.domain.filling import Fillable, report, wanted
from services.executor.domain.provenance import with_provenance

DATA = parse_columns("id bigint not null, x int, m map<int, string>, year string, gone string")
TABLE = with_provenance(DATA, ("_run_id",), "the_rest")
RULES = Rules.of(SchemaRules(), Decisions(rejected=frozenset({"gone"})), ("Year",))


def test_all_are_those_that_records_fill() -> None:
    """Not ours, not what keys fill, not what was rejected; and JSON has no keys of other types than text."""
    of = wanted("t", TABLE, None, RULES)
    assert (["id", "x"], "the_rest") == ([f.name for f in of.columns], of.rescued.name)


@pytest.mark.parametrize("name", ["nope", "X", "m", "year", "gone", "_run_id", "the_rest"])
def test_any_other_is_refused_by_name(name: str) -> None:
    """With where to look."""
    with pytest.raises(Permanent, match=rf"^{name} cannot be filled from the_rest") as refused:
        wanted("t", TABLE, ["x", name], RULES)
    assert "cannot_fill" == refused.value.code


def test_a_table_that_rescues_nothing_has_nothing_to_give() -> None:
    """Whatever is asked for."""
    with pytest.raises(Permanent, match="t has no column for what is rescued") as refused:
        wanted("t", DATA, ["x"], RULES)
    assert "nothing_is_rescued" == refused.value.code


def test_a_report_names_the_columns_of_which_something_was_rescued() -> None:
    """The others were no matter."""
    of = wanted("t", TABLE, ["x", "id", "x"], RULES)
    told = report(of, Fillable(1, total=9, rows=2, filled=(0, 2), unfit=(0, 1)))
    assert FillReport(rows_changed=2, columns=(ColumnFilled(column="id", filled=2, unfit=1),)) == told
