"""Files that were loaded, and then written again: the words for them that a run, a listing and an explanation share."""

from libs.common.contracts.events import Problem
from libs.common.ledger.model.files import FILE_OVERWRITTEN, FileVersion

REMEDY = (
    "POST …/files/reload puts the new version's rows in the place of the old one's (needs _file_path among "
    "destination.metadata_columns); or set source.allow_overwrites to replace or append, and the next run loads it"
)
"""How a version that the policy leaves out gets into the table."""


def refusal_of(f: FileVersion) -> Problem:
    """Of a file that overwrote a loaded one, where ``allow_overwrites`` is ``fail``."""
    return Problem(
        error_type=FILE_OVERWRITTEN,
        message=f"{f.uri} was loaded, and then overwritten: nothing of its new version was taken, and the rows of the "
        "old one stay",
        hint=f"each run says so until somebody acts: {REMEDY}; or write the old content back",
        file=f.uri,
    )
