"""What the files of a batch give their rows from their keys, and which of them cannot."""

from datetime import UTC, datetime

import pytest

from libs.common.ledger.model.columns import Evidence
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.schema import Field, Struct
from services.executor.domain.from_keys import FromKeys, KeysUnfit, from_keys, marked
from services.executor.domain.provenance import data_of
from services.executor.domain.schema_change import compare

TABLE = Struct((Field("id", "bigint"), Field("year", "int"), Field("day", "string")))


def file(key: str) -> FileVersion:
    return FileVersion("b", key, "e", 1, datetime.now(UTC))


def test_readers_leave_such_columns_alone() -> None:
    """And a field of such a name, whatever its type, does not contradict the table."""
    known = marked(TABLE, frozenset({"year", "day"}))
    assert ["id"] == [f.name for f in data_of(known).fields]
    assert () == compare(known, Struct((Field("Year", Struct()), Field("day", "date")))).clashes
    assert marked(TABLE, frozenset()) == TABLE


def test_each_file_has_its_own_values_and_one_that_does_not_fit_is_named() -> None:
    """Before it is read. The first file with a value is the example for its column."""
    a, b, c = file("in/year=01/a.json"), file("in/year=2/day=x/b.json"), file("in/year=x/c.json")
    schema = marked(TABLE, frozenset({"year", "day"}))
    found = from_keys([a, b], schema, "in/")
    assert {a.digest: {"year": "1", "day": None}, b.digest: {"year": "2", "day": "x"}} == found.values
    assert (Evidence("year", a.uri, '"1"'), Evidence("day", b.uri, '"x"')) == found.evidence
    with pytest.raises(KeysUnfit) as unfit:
        from_keys([a, c], schema, "in/")
    [(digest, fate)] = unfit.value.fates.items()
    assert (c.digest, FileState.FAILED) == (digest, fate.state)
    assert fate.problem is not None
    assert ("key_does_not_fit", c.uri) == (fate.problem.error_type, fate.problem.file)
    assert "year=x is no int" in fate.problem.message


def test_without_such_columns_keys_are_names() -> None:
    """Whatever folders they have."""
    assert FromKeys() == from_keys([file("in/year=x/a.json")], TABLE, "in/")
