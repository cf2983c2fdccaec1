"""Credentials at rest: AES-256-GCM, the nonce in front, bound to their owner as associated data.

A sealed value that is copied to another ingestion does not open there. The key comes from settings.
"""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.common.errors import Permanent

_NONCE_BYTES = 12


class SecretBox:
    """Seals and opens small texts with one key."""

    def __init__(self, key_base64: str) -> None:
        """``key_base64``: 32 random bytes in base64.

        Raises:
            Permanent: code ``bad_secret_key``.
        """
        try:
            key = base64.b64decode(key_base64, validate=True)
            if len(key) != 32:
                raise ValueError(f"{len(key)} bytes")
        except ValueError as e:
            raise Permanent(
                "AUTOLOADER_SECRET_KEY is not 32 bytes in base64",
                code="bad_secret_key",
                hint="make one with: openssl rand -base64 32",
            ) from e
        self._aead = AESGCM(key)

    def seal(self, plain: str, *, owner: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain.encode(), owner.encode())

    def open(self, sealed: bytes, *, owner: str) -> str:
        """The text that was sealed for ``owner``.

        Raises:
            Permanent: code ``secret_unreadable``: another key, another owner, or damaged bytes.
        """
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode()).decode()
        except InvalidTag as e:
            raise Permanent(
                f"the stored credentials of {owner} cannot be decrypted",
                code="secret_unreadable",
                hint="set AUTOLOADER_SECRET_KEY to the key they were stored with, or store them again with PUT",
            ) from e
