"""Names that a refresh gives: no two refreshes share one, and no two generations share a folder."""

from libs.common.ids import new_ingestion_id, new_refresh_id
from libs.common.ledger.model.refreshes import RefreshClaim
from services.executor.domain.places import aside_name, next_location


def claim(from_generation: int) -> RefreshClaim:
    return RefreshClaim(
        new_refresh_id(), new_ingestion_id(), "full", from_generation, from_generation + 1, token=1, attempt=1
    )


def test_each_refresh_has_a_name_of_its_own_for_the_old_table() -> None:
    """The name is what lets a table be moved once: it may never be free again."""
    one, other = claim(1), claim(1)
    assert aside_name("t", one) == aside_name("t", one)
    assert aside_name("t", one) != aside_name("t", other)
    assert aside_name("t", one).startswith("t__g1_")


def test_folders_are_numbered_and_do_not_grow() -> None:
    """The third generation's folder is not called after the second's."""
    second = next_location("s3://lake/warehouse/demo/flights/", 2)
    assert "s3://lake/warehouse/demo/flights-g2" == second
    assert "s3://lake/warehouse/demo/flights-g3" == next_location(second, 3)
