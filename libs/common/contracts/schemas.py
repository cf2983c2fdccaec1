"""JSON Schemas of the messages, for consumers that are not written in Python.

``run_status_schemas()`` is the public one: whoever subscribes to the run-status topic can validate every message,
envelope and payload. ``python -m libs.common.contracts.schemas`` prints it. The schemas say what is always there;
readers must tolerate fields that are added later.
"""

import json
import sys
from typing import Any

from libs.common.contracts.codec import type_of
from libs.common.contracts.events import Message
from libs.common.contracts.topics import RUN_STATUS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(message: type[Message]) -> dict[str, Any]:
    """The schema of one CloudEvent, structured JSON, that carries ``message``."""
    # As readers see it: a field with a default may be missing, because it was added later.
    data = message.model_json_schema(mode="validation")
    definitions = data.pop("$defs", {})
    return {
        "$schema": DIALECT,
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
        **({"$defs": definitions} if definitions else {}),
    }


def schemas_of(topic: Topic) -> dict[str, dict[str, Any]]:
    """The schemas of all messages of a topic, by CloudEvents type."""
    return {type_of(message): schema_of(message) for message in topic.messages}


def run_status_schemas() -> dict[str, dict[str, Any]]:
    """The published schemas of the run-status topic, by CloudEvents type."""
    return schemas_of(RUN_STATUS)


if __name__ == "__main__":
    json.dump(run_status_schemas(), sys.stdout, indent=2)
    sys.stdout.write("\n")
