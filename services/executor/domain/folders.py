"""Whether the files of a batch can be read as the folder that they fill.

Spark asks the store three times for each path that it is given: is it there, is it a folder, how large is it. Of a
folder it asks once for a thousand files. So a batch that fills a folder is read as one, restricted to its own files.
"""

from collections.abc import Sequence

from libs.common.ledger.model.files import FileVersion

FILES_MIN = 100
"""A batch of fewer is read path by path: there is little to save."""
STRANGERS_MAX = 10
"""Other objects in the folder, for each file of the batch. Spark lists them all before it leaves them out: one question
to the store for a thousand of them, where each path is three."""
_UNFINISHED = "._COPYING_"


def folder_of(files: Sequence[FileVersion]) -> str | None:
    """The prefix, with its slash, of the folder that has all of these files in it, and whose reader sees each of them.
    None if there is none, or nothing to gain."""
    if len(files) < FILES_MIN or not all(_is_seen(f.key) for f in files):
        return None
    first, last = min(f.key for f in files), max(f.key for f in files)
    shared = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, shared) + 1] or None


def strangers_max(files: int) -> int:
    """How many other objects a folder may have, to be read in place of so many paths."""
    return files * STRANGERS_MAX


def _is_seen(key: str) -> bool:
    """Whether whoever lists folders in Hadoop's way comes upon this key, under this name. Spark passes over names that
    begin like hidden ones; a file system has no empty names, and none for what is here and above."""
    return all(
        part and part == part.strip() and part[0] not in "_." and not part.endswith(_UNFINISHED)
        for part in key.split("/")
    )
