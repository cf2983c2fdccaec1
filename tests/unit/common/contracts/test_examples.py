"""Every message version has an example that is decoded for ever: what was once written can always be read."""

import json
from importlib.resources import files
from typing import Any

import pytest

from libs.common.contracts.codec import decode, encode, type_of
from libs.common.contracts.events import MESSAGES, Message
from libs.common.contracts.webhooks import WEBHOOK_MESSAGES

ALL = (*MESSAGES, *WEBHOOK_MESSAGES)
EXAMPLES = files("libs.common.contracts") / "examples"


def example(name: str) -> bytes:
    return (EXAMPLES / f"{name}.json").read_bytes()


def names() -> list[str]:
    return sorted(entry.name.removesuffix(".json") for entry in EXAMPLES.iterdir() if entry.name.endswith(".json"))


def test_every_message_has_an_example_and_every_example_a_message() -> None:
    """An old version's example may not be removed with its class: add a version, keep the old one readable."""
    assert sorted(type_of(message) for message in ALL) == names()


@pytest.mark.parametrize("name", names())
def test_the_example_is_read_with_all_it_says(name: str) -> None:
    """Fields may be added with a default; none of the example's may be dropped, renamed or read differently."""
    envelope = decode(example(name))
    assert name == type_of(type(envelope.message))
    written = json.loads(example(name))
    assert written["id"] == str(envelope.event_id)
    assert written["source"] == envelope.source
    assert_contains(envelope.message.model_dump(mode="json"), written["data"])


@pytest.mark.parametrize("message", ALL, ids=type_of)
def test_encoding_undoes_decoding(message: type[Message]) -> None:
    """The same event comes back from its own bytes."""
    envelope = decode(example(type_of(message)))
    again = decode(encode(envelope.message, source=envelope.source, time=envelope.time, event_id=envelope.event_id))
    assert envelope == again


def test_a_reader_passes_over_fields_that_it_does_not_know() -> None:
    """A newer writer does not stop an older reader."""
    event = json.loads(example("run.completed.v1"))
    event["data"]["added_in_2031"] = {"x": 1}
    event["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert decode(json.dumps(event).encode()).message == decode(example("run.completed.v1")).message


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
