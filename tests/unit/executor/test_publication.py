"""What becomes of a publish, by what the table holds afterwards."""

from typing import cast

import pytest
from prometheus_client import REGISTRY

from libs.common.errors import Temporary
from services.executor.ports import Published, Table
from services.executor.publication import send

TAKEN = Published(snapshot_id=7, is_burn=False, bytes_written=1)


class Answering:
    """A table that answers a publish with ``error``, and then holds ``found``."""

    def __init__(self, found: Published | None, error: Temporary | None) -> None:
        self._found = found
        self._error = error

    async def publish(self, snapshot_id: int) -> None:
        if self._error is not None:
            raise self._error

    async def published(self, wap_id: str) -> Published | None:
        return self._found


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("autoloader_publishes_total", {"outcome": outcome}) or 0


@pytest.mark.parametrize("error", [None, Temporary("the answer was lost", code="spark_failed")])
@pytest.mark.parametrize(("found", "outcome"), [(TAKEN, "taken"), (None, "refused")])
async def test_the_table_has_the_last_word_in_what_is_counted(
    found: Published | None, outcome: str, error: Temporary | None
) -> None:
    """An answer that was lost is no conflict when the rows are there, and a good answer proves nothing."""
    before = counted(outcome)

    assert found == (await send(cast("Table", Answering(found, error)), 1, "al1:i:1:b"))[0]
    assert 1 == counted(outcome) - before
