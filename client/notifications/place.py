"""Which objects a bucket shall tell of. Pure."""

import hashlib
import re
from dataclasses import dataclass

from libs.common.contracts.definition import Source
from libs.common.selection.pattern import outlines

CREATED = "s3:ObjectCreated:*"
"""The events that are asked for. Of objects that were removed nobody needs to know."""


@dataclass(frozen=True, slots=True)
class Place:
    """Objects of a bucket whose keys begin and end in a certain way. Both may be empty."""

    bucket: str
    prefix: str
    suffix: str

    @property
    def entry_id(self) -> str:
        """The name of its entry in a bucket's configuration: the same place gets the same one again."""
        return f"autoloader-{hashlib.sha256(self.prefix.encode()).hexdigest()[:12]}"

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" + (f"*{self.suffix}" if self.suffix else "")


def place_of(source: Source, suffix: str | None = None) -> Place:
    """Where a source looks. Without a ``suffix`` it is what all names end in that its pattern matches."""
    return Place(source.bucket, source.prefix, ending(source.file_pattern) if suffix is None else suffix)


def ending(pattern: str) -> str:
    """The fixed characters in which every match of a pattern ends. A wildcard that is meant as a character cuts them
    short, which only means that the bucket tells of more than is wanted."""
    ends = [re.split(r"[*?]", outline)[-1] for outline in outlines(pattern)]
    shared = ends[0]
    while not all(end.endswith(shared) for end in ends):
        shared = shared[1:]
    return shared
