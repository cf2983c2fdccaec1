"""Refusing a download that is not what was pinned. The lists are in the format of the `sha256sum` tool."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from devstack.errors import DevstackError


class WrongChecksum(DevstackError):
    """What was downloaded is not what deploy/checksums says."""


def parse_checksums(text: str) -> dict[str, str]:
    """File name → SHA-256 in hexadecimal."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {name.lstrip("*"): digest for digest, name in pairs}


def format_checksums(digests: Mapping[str, str]) -> str:
    """The opposite of parse_checksums, sorted by name."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def digests_of(folder: Path) -> dict[str, str]:
    """The checksum of every jar in `folder`."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}


def refuse_differences(what: str, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise WrongChecksum that names the first file that is missing, unknown or different."""
    remedy = "nothing was kept; try again, and if it stays so, do not trust this source"
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise WrongChecksum(f"{what}: {name} did not arrive; {remedy}")
        if name not in expected:
            raise WrongChecksum(f"{what}: {name} arrived but is not pinned; {remedy}")
        if expected[name] != found[name]:
            raise WrongChecksum(f"{what}: {name} has SHA-256 {found[name]}, pinned is {expected[name]}; {remedy}")
