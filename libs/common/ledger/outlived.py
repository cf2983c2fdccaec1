"""What the runs of a generation are told that has been outlived. Pure."""

from libs.common.contracts.events import Problem, RefreshMode

_WHY: dict[RefreshMode, tuple[str, str]] = {
    "full": ("refreshed", "a refresh began generation {generation} of the table"),
    "new_only": ("refreshed", "a refresh began generation {generation} of the table"),
    "swap": ("table_replaced", "the reloaded table took the place of the old one"),
    "undo": ("refresh_undone", "a refresh was undone, and the table from before it came back"),
    "clear_history": ("history_cleared", "the history of loaded files was cleared"),
    "delete": ("ingestion_deleted", "the ingestion was deleted"),
    "delete_with_table": ("ingestion_deleted", "the ingestion was deleted"),
}
_HINTS: dict[RefreshMode, str] = {
    "full": "the run of the refresh loads these files; ask for a run if the refresh did not",
    "new_only": "the run of the refresh loads these files; ask for a run if the refresh did not",
    "swap": "the next run loads what the table lacks",
    "undo": "the next run loads what the table lacks",
    "clear_history": "the next run loads every file again",
    "delete": "create an ingestion of the same source to load it again",
    "delete_with_table": "create an ingestion of the same source to load it again",
}


def why_ended(mode: RefreshMode, to_generation: int, *, had_begun: bool) -> Problem:
    """The reason of a run that ended because a newer generation began."""
    code, words = _WHY[mode]
    when = "this run was over" if had_begun else "this run began"
    return Problem(
        error_type=code, message=f"{words.format(generation=to_generation)} before {when}", hint=_HINTS[mode]
    )
