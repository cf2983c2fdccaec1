"""Values of a sample as an answer shows them: as their column would hold them, short, and fit for JSON and Postgres."""

import json
import math
from typing import Any

from libs.common.schema import Struct, Type

CHARS_MAX = 200


def shown(value: Any, found: Type) -> Any:
    """``value`` in a column of this type. A text that is too long, and what is too large, ends with an ellipsis."""
    if value is None:
        return None
    if found == "string" and not isinstance(value, str):
        return _short(json.dumps(value, ensure_ascii=False))  # a column of text takes any JSON as its text
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list):
        return _part(value)
    return float(value) if found == "double" else value


def row_of(record: dict[str, Any], schema: Struct) -> dict[str, Any]:
    """A record as a row of the table."""
    return {f.name: shown(record.get(f.name), f.type) for f in schema.fields}


def _part(value: Any) -> Any:
    """Itself where it is short and strict JSON, so that programs can read it; else its text."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > CHARS_MAX or "\\u0000" in text:
        return _short(text)
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return text
    return json.loads(_clean(text))


def _short(text: str) -> str:
    return _clean(text if len(text) <= CHARS_MAX else text[: CHARS_MAX - 1] + "…")


def _clean(text: str) -> str:
    """Without what Postgres and UTF-8 cannot hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
