"""What was once written is read for ever.

``stored/<type>/`` holds messages as they were on their topics, in full and with the least that was ever written. A file
is added (``python -m tests.contract.messages``), with its line in ``SHA256SUMS``, and never changed or removed: topics,
dead letters and other people's archives still hold such messages when the code that wrote them is long gone.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from libs.common.contracts.codec import decode, type_of
from libs.common.contracts.events import MESSAGES
from libs.common.contracts.schemas import schema_of
from libs.common.contracts.webhooks import WEBHOOK_MESSAGES

STORED = Path(__file__).parent / "stored"
NAMES = sorted(str(path.relative_to(STORED)) for path in STORED.rglob("*.json"))
BY_TYPE = {type_of(message): message for message in (*MESSAGES, *WEBHOOK_MESSAGES)}


def event(name: str) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((STORED / name).read_text())
    return stored


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_with_all_that_it_says(name: str) -> None:
    """Fields are added with a default; none of what was written is dropped, renamed or read differently."""
    written = event(name)
    envelope = decode((STORED / name).read_bytes())
    assert name.split("/", maxsplit=1)[0] == type_of(type(envelope.message)) == written["type"]
    assert (written["id"], written["source"]) == (str(envelope.event_id), envelope.source)
    assert_contains(envelope.message.model_dump(mode="json"), written["data"])


@pytest.mark.parametrize("name", NAMES)
def test_it_still_fits_the_schema_that_is_published_today(name: str) -> None:
    """Somebody who validates with the newest schema can read the oldest message: new fields are optional."""
    schema = schema_of(BY_TYPE[event(name)["type"]])
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(event(name))


def test_every_type_and_version_is_stored() -> None:
    """In full, and with the least; of versions that are not written any more as well."""
    assert {f"{name}/{size}.json" for name in BY_TYPE for size in ("full", "least")} <= set(NAMES)


def test_nothing_that_is_stored_was_changed_or_removed() -> None:
    """A change of one of them is a change of history: write the message of today into a new file instead."""
    there = [f"{hashlib.sha256((STORED / name).read_bytes()).hexdigest()}  {name}" for name in NAMES]
    assert (STORED / "SHA256SUMS").read_text().splitlines() == there


def assert_contains(whole: Any, part: Any) -> None:
    if isinstance(part, dict):
        for key, value in part.items():
            assert key in whole
            assert_contains(whole[key], value)
    elif isinstance(part, list):
        assert len(part) == len(whole)
        for one, other in zip(whole, part, strict=True):
            assert_contains(one, other)
    else:
        assert part == whole
