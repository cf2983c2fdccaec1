"""Signatures as Standard Webhooks has them (standardwebhooks.com): HMAC-SHA256 over id, time and body. Pure."""

import base64
import hashlib
import hmac
from datetime import datetime

_PREFIX = "whsec_"
_KEY_BYTES = 32


def new_secret(random_bytes: bytes) -> str:
    """A secret as receivers' libraries want it, from 32 random bytes."""
    assert len(random_bytes) == _KEY_BYTES
    return _PREFIX + base64.b64encode(random_bytes).decode()


def signed_headers(secret: str, webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers by which a receiver knows who sent ``body``, when, and whether it has it already."""
    timestamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signature = hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }
