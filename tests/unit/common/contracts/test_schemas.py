"""The published JSON Schemas accept what we write, and refuse what we would never write."""

import json
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from libs.common.contracts.schemas import run_status_schemas, schemas_of
from libs.common.contracts.topics import CATALOGUE, RUN_STATUS

SCHEMAS = {name: schema for topic in CATALOGUE for name, schema in schemas_of(topic).items()}


def example(name: str) -> dict[str, Any]:
    text = (files("libs.common.contracts") / "examples" / f"{name}.json").read_text()
    event: dict[str, Any] = json.loads(text)
    return event


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_example_fits_its_schema(name: str) -> None:
    """Schema and example cannot drift apart."""
    Draft202012Validator.check_schema(SCHEMAS[name])
    Draft202012Validator(SCHEMAS[name]).validate(example(name))


def test_every_fact_of_a_run_is_published() -> None:
    """A subscriber can validate whatever comes on the topic."""
    assert len(RUN_STATUS.messages) == len(run_status_schemas())


@pytest.mark.parametrize("damage", ["type", "data.run_id", "data.seq", "data.totals"])
def test_a_message_without_its_essentials_does_not_fit(damage: str) -> None:
    """The schema is worth validating with."""
    event = example("run.completed.v1")
    *path, last = damage.split(".")
    target = event
    for part in path:
        target = target[part]
    del target[last]
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMAS["run.completed.v1"]).validate(event)


def test_a_schema_accepts_fields_that_are_added_later() -> None:
    """A consumer that validates keeps working after our next release, and with messages of the release before."""
    event = example("scan.progress.v1")
    event["data"]["added_later"] = 1
    del event["data"]["problems"]
    Draft202012Validator(SCHEMAS["scan.progress.v1"]).validate(event)
