"""Which columns a decision is about, and what a rollback can mean."""

from typing import Any

import pytest

from libs.common.errors import Conflict, Invalid
from libs.common.ledger.model.columns import Proposal
from libs.common.schema_diff import Difference
from services.api.table_schema.decisions import meant, rollback, whole_columns


def said(column: str, state: str) -> dict[str, Any]:
    return {"column": column, "state": state, "type": "string", "file": "s3://b/a.json", "example": '"x"'}


SAID = [said("meta.ts", "held"), said("`a.b`", "held"), said("old", "rejected"), said("ok", "approved")]
COLUMNS = {"id": "bigint", "a b": "int"}


def test_without_names_all_that_wait_are_meant() -> None:
    """Those that were decided are not decided again by the way."""
    assert ["meta.ts", "`a.b`"] == [p.column for p in meant(None, SAID, COLUMNS)]
    with pytest.raises(Conflict, match="no column waits"):
        meant(None, SAID[2:], COLUMNS)


def test_a_column_is_meant_by_its_path_however_it_is_quoted() -> None:
    """Held, decided, or a column of the table; each once."""
    found = meant(["`meta`.ts", "meta.ts", "`a.b`", "old", "a b"], SAID, COLUMNS)
    assert ["meta.ts", "`a.b`", "old", "a b"] == [p.column for p in found]
    assert Proposal("a b", "int") == found[-1]
    assert Proposal("meta.ts", "string", "s3://b/a.json", '"x"') == found[0]


@pytest.mark.parametrize("name", ["nobody", "meta", "id.x", "a..b", "a\0"])
def test_a_column_that_nobody_knows_is_refused(name: str) -> None:
    """A mistyped name must not look decided."""
    with pytest.raises(Invalid) as caught:
        meant(["id", name], SAID, COLUMNS)
    assert ("unknown_column", True) == (caught.value.code, bool(caught.value.hint))


def test_a_rollback_rejects_what_came_later_and_says_what_stays() -> None:
    """Columns are left alone as they are; types stay wide, and fields inside of structs stay, too."""
    then = {"id": "int", "meta": "struct<`a`: int>", "old": "string"}
    now = {"id": "bigint", "meta": "struct<`a`: int, `b`: int>", "old": "string", "new": "date"}
    found = rollback(then, now, SAID)
    assert ["new"] == [p.column for p in found.rejected]
    assert ["old"] == [p.column for p in found.approved]
    assert (Difference("changed", "id", "bigint", "int"), Difference("added", "meta.b", "int")) == found.kept


def test_a_rollback_to_what_is_there_changes_nothing() -> None:
    """Unless something was rejected since."""
    found = rollback(COLUMNS, COLUMNS, SAID)
    assert ((), (), ()) == (found.rejected, found.approved, found.kept)


def test_whole_columns_are_named_as_the_table_has_them() -> None:
    """However they are quoted, each once; a field inside of one is none."""
    assert ["a.b", "x"] == whole_columns(["`a.b`", "x", "x"])
    for name in ("meta.ts", "a..b", "a\0"):
        with pytest.raises(Invalid) as refused:
            whole_columns([name])
        assert "unknown_column" == refused.value.code
