"""The table that a refresh builds beside the old one."""

from uuid import UUID

from libs.common.built_aside import built_name, definition_of_now
from libs.common.contracts.definition import Destination

ONE, TWO = UUID(int=1), UUID(int=2)
STORED = {"name": "Flights", "destination": {"catalog": "lake", "database": "demo", "table": "flights"}}


def test_each_refresh_has_a_name_of_its_own_for_it() -> None:
    """Which is an identifier, however long the table's own name is."""
    assert built_name("flights", ONE) == built_name("flights", ONE)
    assert built_name("flights", ONE) != built_name("flights", TWO)
    longest = built_name("t" * 128, ONE)
    assert longest == Destination(catalog="lake", database="demo", table=longest).table


def test_who_loads_meanwhile_has_another_table_and_all_else_as_it_was() -> None:
    """The stored definition is not changed."""
    now = definition_of_now(STORED, ONE)
    assert built_name("flights", ONE) == now["destination"]["table"]
    assert ("Flights", "demo") == (now["name"], now["destination"]["database"])
    assert "flights" == STORED["destination"]["table"]  # type: ignore[index]
    assert STORED == definition_of_now(STORED, None)


def test_it_has_the_quarantine_of_the_table_whose_place_its_rows_will_take() -> None:
    """Bad records of a build stand where people look for them."""
    to = Destination(catalog="lake", database="demo", table="flights")
    aside = to.model_copy(update={"table": built_name("flights", ONE)})
    assert "lake.demo.flights__quarantine" == to.quarantine.identifier == aside.quarantine.identifier
