"""Values about files: their versions, and what the ledger remembers of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.common.contracts.events import Problem
from libs.common.ids import BatchId, RunId
from libs.common.ledger.states import FileState


def digest_of(bucket: str, key: str) -> bytes:
    """The key's identity in the ledger: sha256(bucket NUL key). No bucket's name holds a NUL, so no two collide."""
    return hashlib.sha256(f"{bucket}\0{key}".encode()).digest()


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One version of one object, as a listing or a HEAD shows it."""

    bucket: str
    key: str
    etag: str
    size_bytes: int
    last_modified: datetime

    @property
    def digest(self) -> bytes:
        return digest_of(self.bucket, self.key)

    @property
    def version_tag(self) -> str:
        """What tells two versions of a key apart where the store has no version ids."""
        return f"{self.etag}:{self.size_bytes}"

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def is_folder_marker(self) -> bool:
        """Consoles make folders visible with empty objects whose key ends in a slash. They are no files."""
        return self.key.endswith("/") and self.size_bytes == 0


def tags(versions: Mapping[str, FileVersion | None]) -> dict[str, str | None]:
    """Of each key the tag of its version; None stays None."""
    return {key: None if version is None else version.version_tag for key, version in versions.items()}


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """What the ledger remembers of one version of a key. ``given_up``: it waits because its batch was burned for a
    reason that lies in no file, and counts as failed in the run that gave it up. ``held``: a run in the other lane
    has found it, and lists still: it is about to be in one of that run's batches. ``by_policy``: it was left for
    overwriting a loaded file, not for what it holds."""

    version_tag: str
    state: FileState
    run_id: RunId
    given_up: bool = False
    held: bool = False
    by_policy: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """What the ledger says of a page of a listing. ``settled`` counts keys with which a run has nothing to do: see
    ``KeyStanding.is_settled``. ``files`` are the others, each key once as the page names it last, and ``known`` all
    versions that the ledger has of these, by digest; keys it never saw are absent."""

    files: tuple[FileVersion, ...]
    known: Mapping[bytes, tuple[KnownVersion, ...]]
    settled: int = 0


def last_of_each(files: Sequence[FileVersion]) -> dict[bytes, FileVersion]:
    """By digest. Of a key that a page names twice, the later entry is the truth."""
    return {f.digest: f for f in files}


FILE_OVERWRITTEN = "file_overwritten"
"""The error type of a version that overwrote a loaded file, or that was overwritten while it was read."""


def is_by_policy(state: FileState, error_type: str | None) -> bool:
    """Whether a version in this state was left by ``allow_overwrites``, not for what it holds."""
    return state is FileState.SKIPPED or (state is FileState.FAILED and error_type == FILE_OVERWRITTEN)


@dataclass(frozen=True, slots=True)
class Reload:
    """What a run does, or did, to have a loaded key loaded again. ``state``: *batched* while it is on its way,
    *committed* when its rows are in the table, or why they are not."""

    run_id: RunId
    state: FileState


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the table holds of a key: rows of one version, or of several if later ones were appended. ``rows`` is None
    where nobody counted them: the ledger was rebuilt. ``bad_from`` are the batches that set bad records of it aside."""

    files: tuple[FileVersion, ...]
    rows: int | None
    bad_from: tuple[BatchId, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that does not fit. ``line`` is 1-based, None where it cannot be told; ``raw`` is the beginning of its
    text, None where a file is not text."""

    line: int | None
    reason: str
    raw: str | None


@dataclass(frozen=True, slots=True)
class BadRecords:
    """Those of one file: how many, and the first of them."""

    count: int
    first: tuple[BadRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that cannot be loaded as it is, and why."""

    file: FileVersion
    problem: Problem
