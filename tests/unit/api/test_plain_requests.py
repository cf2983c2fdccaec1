"""Which requests for runs may share a transaction."""

from uuid import UUID

import pytest

from libs.common.ids import TenantId
from services.api.caller import Caller
from services.api.idempotency import Once
from services.api.runs.plain import first_of_each
from services.api.runs.plain_rows import Asked


def asked(ingestion: int, key: str | None = None, tenant: str = "t") -> Asked:
    return Asked(Caller(TenantId(tenant)), UUID(int=ingestion), None if key is None else Once(key, b"same"))


@pytest.mark.parametrize(
    ("requests", "first"),
    [
        ([], []),
        ([asked(1)], [0]),
        ([asked(1), asked(2)], [0, 1]),
        ([asked(1), asked(1), asked(2)], [0, 2]),
        ([asked(1, "a"), asked(2, "a"), asked(2, "b")], [0]),
        ([asked(1, "a"), asked(1, "b"), asked(2, "b")], [0]),
        ([asked(1, "a"), asked(2, "a", tenant="u")], [0, 1]),
    ],
    ids=[
        "none", "one", "of two ingestions", "twice of one", "under one key", "chained by a key", "keys of two tenants",
    ],
)  # fmt: skip
def test_the_first_of_each_ingestion_and_key(requests: list[Asked], first: list[int]) -> None:
    """What becomes of another one depends on what becomes of the first."""
    assert [requests[i] for i in first] == first_of_each(requests)
