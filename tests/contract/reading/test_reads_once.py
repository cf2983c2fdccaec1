"""In the steady state, each byte of a file is asked of the object store once."""

import pytest

from libs.common.contracts.definition import Format
from tests.contract.table.conftest import ACCESS, URL
from tests.support.traffic import body, measured

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

RATIO_MAX = 1.05
# Avro's reader begins anew when it has seen the file's mark. The request that it gives up counts here as if the store
# had sent all that was asked for.
GIVEN_UP = 1.0


@pytest.mark.parametrize(
    ("format_", "rows", "ratio_max"),
    [
        ("json", 3_000, RATIO_MAX),
        ("csv", 3_000, RATIO_MAX),
        ("parquet", 3_000, RATIO_MAX),
        ("avro", 3_000, RATIO_MAX + GIVEN_UP),
        ("orc", 20_000, RATIO_MAX),  # its reader takes 16 KB at the end of a file, and then what it needs
    ],
)
async def test_the_store_sends_each_byte_once(format_: str, rows: int, ratio_max: float) -> None:
    """With what files say of themselves, and with the audit: a twentieth more at most."""
    bodies = [body(format_, rows, seed) for seed in range(10)]
    traffic = await measured(Format.model_validate({"type": format_}), bodies, URL, ACCESS)
    assert 1 <= traffic.ratio <= ratio_max
