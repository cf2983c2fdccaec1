"""Which columns of a table are ours, and what happens when data wants the same name."""

import pytest

from libs.common.errors import Permanent
from libs.common.schema import Field, Struct, struct_from_json
from services.executor.domain.provenance import data_of, is_ours, lacking_provenance, with_provenance
from services.executor.domain.schema_change import Addition, compare, with_additions

ID = Struct((Field("id", "bigint"),))


def test_a_new_table_has_the_datas_columns_and_then_ours() -> None:
    """In the order in which they were asked for."""
    schema = with_provenance(ID, ("_loaded_at", "_file_path"))
    assert ["id", "_loaded_at", "_file_path"] == [f.name for f in schema.fields]
    assert ID == data_of(schema)


def test_data_gives_way_to_our_names_in_a_new_table() -> None:
    """In any spelling; the file that has the field is told of the clash when it is read."""
    schema = with_provenance(Struct((*ID.fields, Field("_FILE_PATH", "string"))), ("_file_path",))
    assert ["id", "_file_path"] == [f.name for f in schema.fields]
    [clash] = compare(schema, Struct((Field("_FILE_PATH", "string"),))).clashes
    assert "metadata_columns" in str(clash)


def test_a_name_alone_makes_no_column_ours() -> None:
    """Nor does a comment alone: a renamed column is the user's."""
    ours = with_provenance(Struct(), ("_run_id",)).fields[0]
    assert is_ours(ours)
    assert not is_ours(Field("_run_id", "string"))
    assert not is_ours(Field("source_run", "string", comment=ours.comment))


def test_columns_that_lack_are_added_with_their_comments() -> None:
    """So that the next executor knows them for ours."""
    lacking = lacking_provenance("t", ID, ("_file_path", "_run_id"))
    grown = with_additions(ID, tuple(Addition.of(f) for f in lacking))
    assert with_provenance(ID, ("_file_path", "_run_id")) == grown
    assert () == lacking_provenance("t", grown, ("_run_id",))


def test_a_column_that_is_not_ours_is_not_taken_over() -> None:
    """The refusal names it, and what to do."""
    schema = Struct((*ID.fields, Field("_File_Path", "string")))
    with pytest.raises(Permanent, match="_File_Path") as told:
        lacking_provenance("c.d.t", schema, ("_file_path",))
    assert "metadata_column_taken" == told.value.code


def test_comments_are_read_from_sparks_form_of_a_schema() -> None:
    """A column without one has none."""
    told = {"type": "string", "nullable": True}
    schema = struct_from_json(
        {
            "type": "struct",
            "fields": [
                {"name": "a", "metadata": {"comment": "autoloader: x"}, **told},
                {"name": "b", "metadata": {}, **told},
            ],
        }
    )
    assert ["autoloader: x", ""] == [f.comment for f in schema.fields]
