"""What a swap may do, and what its snapshot says of itself."""

from datetime import UTC, datetime

import pytest

from libs.common.errors import Permanent
from libs.common.ids import new_ingestion_id, new_refresh_id
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.refreshes import BuiltAside, KeptTable, RefreshClaim, ReplacedRows
from libs.common.schema import Field, Struct
from services.executor.domain import evidence
from services.executor.domain.places import touches_the_place
from services.executor.domain.provenance import with_provenance
from services.executor.domain.schema_change import Addition
from services.executor.domain.swapping import check_columns, check_rows, lacks, properties

TABLE = Struct((Field("id", "bigint"), Field("s", Struct((Field("x", "bigint"),)))))


def claim(mode: str = "swap", kept: KeptTable | BuiltAside | ReplacedRows | None = None) -> RefreshClaim:
    return RefreshClaim(new_refresh_id(), new_ingestion_id(), mode, 2, 3, token=1, attempt=1, kept=kept)  # type: ignore[arg-type]


def test_a_table_gets_the_columns_that_came_up_while_the_other_was_built() -> None:
    """At any depth, and those of ours; what it has beside them stays."""
    grown = Struct((Field("s", Struct((Field("x", "bigint"), Field("y", "string")))), Field("new", "double")))
    change = lacks(TABLE, with_provenance(grown, ("_file_path",)))
    assert () == change.clashes
    assert [("s.y", "string"), ("new", "double"), ("_file_path", "string")] == [
        (a.name, a.type) for a in change.additions
    ]
    ours = next(a for a in change.additions if a.name == "_file_path")
    assert ours == Addition.of(with_provenance(Struct(), ("_file_path",)).fields[0])
    assert () == lacks(with_provenance(TABLE, ("_file_path",)), with_provenance(TABLE, ("_file_path",))).additions


def test_a_column_that_became_another_is_named() -> None:
    """Before anything is changed, with the statement that helps. Numbers that need more room get it."""
    wider = lacks(Struct((Field("n", "int"),)), Struct((Field("n", "bigint"),)))
    assert [("n", "bigint")] == [(w.name, w.type) for w in wider.widenings]
    assert () == wider.clashes
    change = lacks(TABLE, Struct((Field("id", "string"),)))
    with pytest.raises(Permanent) as refused:
        check_columns("lake.demo.t", "t__new_x", change)
    assert "columns_differ" == refused.value.code
    assert "'id'" in refused.value.message
    assert "ALTER TABLE lake.demo.t" in refused.value.hint
    check_columns("lake.demo.t", "t__new_x", lacks(TABLE, TABLE))


def test_every_row_that_was_loaded_has_to_be_there_and_no_other() -> None:
    check_rows("t__new_x", 5, 5, "i")
    for counted in (4, 6):
        with pytest.raises(Permanent) as refused:
            check_rows("t__new_x", counted, 5, "i")
        assert "built_table_differs" == refused.value.code


def test_the_snapshot_names_its_files_unless_they_are_too_many() -> None:
    """And that it took out whatever was there."""
    of = claim()
    files = [FileVersion("landing", key, "v1", 10, datetime(2025, 1, 7, tzinfo=UTC)) for key in ("a", "b")]
    told = properties(of, 7, files)
    assert (str(of.id), "3", "7", "*") == (
        told["autoloader.batch"], told["autoloader.generation"], told[evidence.ROWS], told[evidence.REPLACED]
    )  # fmt: skip
    assert sorted(map(evidence.number_of, files)) == list(evidence.read(told[evidence.FILES]))
    assert evidence.FILES not in properties(of, 7, None)


@pytest.mark.parametrize(
    ("of", "touches"),
    [
        (claim("full"), True),
        (claim("delete_with_table"), True),
        (claim("undo", KeptTable("t__g1", 1)), True),
        (claim("undo", ReplacedRows(7, 1)), False),
        (claim("undo", BuiltAside("t__new_x", 1)), False),
        (claim("swap", BuiltAside("t__new_x", 2)), False),
        (claim("clear_history"), False),
    ],
)
def test_what_asks_whether_a_table_stands_there(of: RefreshClaim, touches: bool) -> None:
    """A swap and the way back of one leave the table in its place."""
    assert touches is touches_the_place(of)
