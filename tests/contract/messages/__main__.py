"""``python -m tests.contract.messages``: stores messages of types that have none yet, made from their examples.

What is stored already stays as it is. Look at what was written, and commit it with the new type.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from libs.common.contracts.codec import decode, type_of
from libs.common.contracts.events import MESSAGES, Message
from libs.common.contracts.schemas import example_of
from libs.common.contracts.webhooks import WEBHOOK_MESSAGES

STORED = Path(__file__).parent / "stored"


def full(message: type[Message]) -> dict[str, Any]:
    """The example, with every field that a message of today has."""
    example = example_of(message)
    return {**example, "data": decode(json.dumps(example).encode()).message.model_dump(mode="json")}


def least(message: type[Message]) -> dict[str, Any]:
    """The example, without what a reader must not rely on."""
    example = example_of(message)
    required = [name for name, info in message.model_fields.items() if info.is_required()]
    data = {name: {} if name == "totals" else example["data"][name] for name in required}
    return {**example, "data": data}


def main() -> None:
    """Adds files, and lists all of them with their digests."""
    for message in (*MESSAGES, *WEBHOOK_MESSAGES):
        for name, event in (("full", full(message)), ("least", least(message))):
            path = STORED / type_of(message) / f"{name}.json"
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n")
                print(f"stored {path.relative_to(STORED)}")
    files = sorted(STORED.rglob("*.json"), key=lambda path: str(path.relative_to(STORED)))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(STORED)}\n" for path in files]
    (STORED / "SHA256SUMS").write_text("".join(lines))


if __name__ == "__main__":
    main()
