"""What an ORC file says of itself, and the zone in which a cluster must read it."""

import io
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import orc

from libs.common.errors import Permanent
from services.executor.adapters.describing.orc import tail_bytes
from services.executor.adapters.reading.orc import require_utc


@given(st.integers(1, 60), st.sampled_from(["uncompressed", "zlib", "zstd"]))
def test_the_tail_alone_describes_a_file(columns: int, codec: str) -> None:
    """Its length is in its last bytes, however long it is."""
    written = io.BytesIO()
    orc.write_table(pa.table({f"column {n}": [1, 2] for n in range(columns)}), written, compression=codec)
    size = tail_bytes(written.getvalue()[-256:])
    assert size is not None
    tail: Any = orc.ORCFile(pa.BufferReader(b"ORC" + written.getvalue()[-size:]))
    assert (columns, 2) == (len(tail.schema), tail.nrows)


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_say_how_long_a_tail_is_or_nothing(tail: bytes) -> None:
    """Never another error."""
    size = tail_bytes(tail)
    assert size is None or size > 0


class Cluster:
    """Answers with its zone, and nothing else."""

    def __init__(self, zone: str) -> None:
        self.zone = zone

    def sql(self, _: str) -> "Cluster":
        return self

    def collect(self) -> list[tuple[str]]:
        return [(self.zone,)]


def test_times_are_read_in_utc_alone() -> None:
    """Elsewhere some of them do not exist."""
    require_utc(Cluster("Etc/UTC"))  # type: ignore[arg-type]
    with pytest.raises(Permanent) as told:
        require_utc(Cluster("Europe/Berlin"))  # type: ignore[arg-type]
    assert "cluster_time_zone" == told.value.code
    assert "-Duser.timezone=UTC" in str(told.value.hint)
