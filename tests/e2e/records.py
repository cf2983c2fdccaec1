"""The records that the stories load: the same id always gives the same record, in the base or the evolved schema."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

SchemaType = Literal["base", "evolved"]

BASE_FIELDS = ("id", "timestamp", "user_id", "event_type", "value")
EVOLVED_FIELDS = (*BASE_FIELDS, "region", "metadata")
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


def record(i: int, schema_type: SchemaType = "base") -> dict[str, Any]:
    """The record with id ``i``, the same every time."""
    base: dict[str, Any] = {
        "id": i,
        "timestamp": (_EPOCH + timedelta(seconds=i)).isoformat(),
        "user_id": f"user_{i % 100}",
        "event_type": ("click", "view", "purchase")[i % 3],
        "value": i + 0.5,  # never a whole number: the column's type must not hang on what a writer prints
    }
    if schema_type == "base":
        return base
    device = {"browser": ("firefox", "chrome", "safari")[i % 3], "version": f"{i % 20}.0", "device": "desktop"}
    return base | {"region": ("us-east-1", "eu-west-1")[i % 2], "metadata": device}


def ndjson(records: Iterable[Mapping[str, Any]]) -> bytes:
    """One JSON object per line, UTF-8."""
    return "".join(json.dumps(r) + "\n" for r in records).encode()
