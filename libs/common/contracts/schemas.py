"""JSON Schemas of the messages, for consumers that are not written in Python.

``run_status_schemas()`` is the public one: whoever subscribes to the run-status topic can validate every message,
envelope and payload. ``python -m libs.common.contracts.schemas`` prints it. The schemas say what is always there;
readers must tolerate fields that are added later. ``asyncapi.py`` puts the schemas of all public topics into one
document.
"""

import json
import sys
from importlib.resources import files
from typing import Any

from libs.common.contracts.codec import type_of
from libs.common.contracts.events import Message
from libs.common.contracts.topics import RUN_STATUS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(message: type[Message]) -> dict[str, Any]:
    """The schema of one CloudEvent, structured JSON, that carries ``message``."""
    schema, definitions = envelope_of(message)
    return {"$schema": DIALECT, **schema, **({"$defs": definitions} if definitions else {})}


def envelope_of(
    message: type[Message], *, ref_template: str = "#/$defs/{model}"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of one CloudEvent that carries ``message``, and apart from it the schemas that it refers to."""
    # As readers see it: a field with a default may be missing, because it was added later.
    data = message.model_json_schema(mode="validation", ref_template=ref_template)
    definitions = data.pop("$defs", {})
    envelope = {
        "title": type_of(message),
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "datacontenttype", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "format": "uuid", "description": "Unique: the same event twice has the same id."},
            "source": {"type": "string", "description": "Who wrote it, as in autoloader/scanner."},
            "type": {"const": type_of(message)},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": data,
        },
    }
    return envelope, definitions


def example_of(message: type[Message]) -> dict[str, Any]:
    """A CloudEvent that carries ``message``, as it may be met on its topic."""
    text = (files("libs.common.contracts") / "examples" / f"{type_of(message)}.json").read_text()
    event: dict[str, Any] = json.loads(text)
    return event


def schemas_of(topic: Topic) -> dict[str, dict[str, Any]]:
    """The schemas of all messages of a topic, by CloudEvents type."""
    return {type_of(message): schema_of(message) for message in topic.messages}


def run_status_schemas() -> dict[str, dict[str, Any]]:
    """The published schemas of the run-status topic, by CloudEvents type."""
    return schemas_of(RUN_STATUS)


if __name__ == "__main__":
    json.dump(run_status_schemas(), sys.stdout, indent=2)
    sys.stdout.write("\n")
