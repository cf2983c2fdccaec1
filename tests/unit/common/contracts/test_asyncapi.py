"""The AsyncAPI document is whole: a stranger needs nothing beside it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from libs.common.contracts.asyncapi import asyncapi
from libs.common.contracts.codec import type_of
from libs.common.contracts.topics import CATALOGUE, COMPLETENESS, RUN_STATE, RUN_STATUS, TABLE_STATUS

DOCUMENT = asyncapi("one:9092, two:9093", "mine", version="1.2.3", replication_factor=3)
MESSAGES = DOCUMENT["components"]["messages"]
PUBLIC = (RUN_STATUS, RUN_STATE, TABLE_STATUS, COMPLETENESS)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def resolved(reference: str) -> Any:
    assert reference.startswith("#/"), "every reference stays inside"
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def as_schema(message: dict[str, Any]) -> dict[str, Any]:
    """The payload's schema as a stranger validates with it: the document itself, entered at another place."""
    return {**DOCUMENT, "$ref": message["payload"]["$ref"]}


def test_it_says_where_and_under_which_names() -> None:
    """The brokers of this installation, and its topics with their prefix."""
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version", "description"} <= DOCUMENT["info"].keys()
    assert [("one:9092", "kafka"), ("two:9093", "kafka")] == [
        (server["host"], server["protocol"]) for server in DOCUMENT["servers"].values()
    ]
    assert {topic.name("mine") for topic in PUBLIC} == {c["address"] for c in DOCUMENT["channels"].values()}


def test_internal_topics_stay_internal() -> None:
    """A command that anybody may write is a way in; a message that anybody may read is a promise."""
    assert [topic for topic in CATALOGUE if topic.is_public] == list(PUBLIC)
    assert not any(topic.suffix in str(DOCUMENT) for topic in CATALOGUE if not topic.is_public)


def test_every_reference_leads_somewhere() -> None:
    """No part is forgotten, and none points outside."""
    found = list(references(DOCUMENT))
    assert len(found) > 40
    for reference in found:
        assert resolved(reference)


def test_names_are_such_as_asyncapi_allows() -> None:
    """Keys of components and channels are letters, digits, dots, dashes and underscores."""
    keys = [*DOCUMENT["channels"], *DOCUMENT["operations"], *DOCUMENT["servers"]]
    keys += [key for part in DOCUMENT["components"].values() for key in part]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", key) for key in keys)


@pytest.mark.parametrize("topic", PUBLIC, ids=lambda topic: topic.suffix)
def test_a_channel_has_an_operation_and_all_its_messages(topic: Any) -> None:
    """What a reader does with it, and whatever may come."""
    [(name, channel)] = [(n, c) for n, c in DOCUMENT["channels"].items() if c["address"] == topic.name("mine")]
    [operation] = [o for o in DOCUMENT["operations"].values() if o["channel"]["$ref"] == f"#/channels/{name}"]
    assert operation["action"] == "receive"
    names = [type_of(message) for message in topic.messages]
    assert names == list(channel["messages"])
    assert names == [resolved(resolved(m["$ref"])["$ref"])["name"] for m in operation["messages"]]
    assert [resolved(server["$ref"])["host"] for server in channel["servers"]] == ["one:9092", "two:9093"]
    kafka = channel["bindings"]["kafka"]
    assert (topic.name("mine"), topic.partitions, 3) == (kafka["topic"], kafka["partitions"], kafka["replicas"])
    cleanup = kafka["topicConfiguration"]["cleanup.policy"]
    assert ("compact" in cleanup) == topic.is_compacted
    assert topic.retention.total_seconds() * 1000 == kafka["topicConfiguration"]["retention.ms"]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_is_described_and_its_example_fits(name: str) -> None:
    """In the dialect of AsyncAPI's own schema objects, and in the newest one."""
    message = MESSAGES[name]
    assert message["summary"], "a docstring becomes the summary"
    schema = as_schema(message)
    [example] = message["examples"]
    for validator in (Draft7Validator, Draft202012Validator):
        validator.check_schema(resolved(message["payload"]["$ref"]))
        validator(schema, format_checker=FormatChecker()).validate(example["payload"])
        with pytest.raises(ValidationError):
            validator(schema).validate({**example["payload"], "type": "another.v1"})
    key = message["correlationId"]["location"].removeprefix("$message.payload#/data/")
    assert example["payload"]["data"][key]
