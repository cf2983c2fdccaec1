"""How many bad records a file may have: what ``on_error`` and its limits say."""

from datetime import UTC, datetime

import pytest

from libs.common.contracts.definition import Quality
from libs.common.ledger.model.files import FileVersion
from services.executor.domain.tolerance import Tolerance

FILE = FileVersion("b", "one.json", "e1", 10, datetime(2025, 1, 7, tzinfo=UTC))


@pytest.mark.parametrize(
    ("quality", "good", "bad", "word"),
    [
        ({}, 0, 5, None),
        ({"on_error": "skip_file"}, 5, 0, None),
        ({"on_error": "skip_file"}, 999, 1, "unparsable_file"),
        ({"on_error": "abort"}, 5, 0, None),
        ({"on_error": "abort"}, 999, 1, "unparsable_file"),
        ({"bad_records_max": 2}, 1, 2, None),
        ({"bad_records_max": 2}, 999, 3, "too_many_bad_records"),
        ({"bad_records_max": 0}, 999, 1, "too_many_bad_records"),
        ({"bad_records_share_max": 0.5}, 5, 5, None),
        ({"bad_records_share_max": 0.5}, 4, 5, "too_many_bad_records"),
        ({"bad_records_share_max": 0}, 999, 0, None),
        ({"bad_records_share_max": 1}, 0, 9, None),
        ({"bad_records_share_max": 0.1, "bad_records_max": 1}, 98, 2, "too_many_bad_records"),
    ],
)
def test_a_file_is_loaded_without_its_bad_records_or_not_at_all(
    quality: dict[str, object], good: int, bad: int, word: str | None
) -> None:
    """Right at a limit is within it. The objection names the file and what would change it."""
    objection = Tolerance.of(Quality.model_validate(quality)).objection(FILE, good, bad)
    assert word == (objection.error_type if objection else None)
    if objection is not None:
        assert FILE.uri in objection.message
        assert (FILE.uri, True) == (objection.file, bool(objection.hint))
