"""What proves that every line of some files is plain."""

from datetime import UTC, datetime
from typing import Any
from unittest.mock import MagicMock

import pytest
from pyspark.sql.connect.observation import Observation

from libs.common.ledger.model.files import FileVersion
from services.executor.adapters.reading.plain_files import PlainFiles, proof
from services.executor.domain.audit import FileRead

FILES = [FileVersion("b", key, "v", size, datetime.now(UTC)) for key, size in (("a", 90), ("b", 30), ("empty", 0))]
PIECES: list[dict[str, Any]] = [
    {"file": 0, "bytes": 50, "lines": 5, "held": True, "colons": 10},
    {"file": 1, "bytes": 30, "lines": 3, "held": True, "colons": 6},
    {"file": 0, "bytes": 40, "lines": 4, "held": True, "colons": 8},
]


def test_counts_that_close_tell_what_was_read_of_each_file() -> None:
    assert {FILES[0].digest: FileRead(9, 9), FILES[1].digest: FileRead(3, 3)} == proof(FILES, PIECES, 24, 12)


@pytest.mark.parametrize(
    "changes",
    [
        {"held": False},
        {"file": None},
        {"bytes": 39},  # a part of the file was not seen
        {"bytes": 41},
        {"lines": 5},  # a record is missing
        {"colons": 9},  # one of them is no known field's
    ],
)
def test_one_that_does_not_close_proves_nothing(changes: dict[str, Any]) -> None:
    assert proof(FILES, [*PIECES[:2], {**PIECES[2], **changes}], 24, 12) is None


@pytest.mark.parametrize(("explained", "written"), [(23, 12), (25, 12), (24, 11), (24, 13)])
def test_neither_do_rows_that_tell_otherwise(explained: int, written: int) -> None:
    assert proof(FILES, PIECES, explained, written) is None


def test_a_file_of_which_nothing_was_seen_is_missed() -> None:
    assert proof(FILES, [PIECES[0], PIECES[2]], 18, 9) is None


def test_counts_that_were_not_sent_prove_nothing() -> None:
    pieces, rows = Observation(), Observation()
    pieces._result, rows._result = {}, {}
    assert PlainFiles(FILES, MagicMock(), pieces, rows).proved(12) is None
