"""Why a key is in the table or is not. Pure: what is known of it goes in, words come out.

The questions are asked in the order in which a scanner asks them: is the key in the place, does its name match, what
does the ledger know of it, and what is there now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from libs.common.contracts.definition import OverwritePolicy, Source
from libs.common.ledger.model.files import FILE_OVERWRITTEN
from libs.common.ledger.states import LIVE_FILE_STATES, LOADED_FILE_STATES, FileState
from libs.common.selection.names import unreadable
from libs.common.selection.overwrites import REMEDY
from libs.common.selection.pattern import Pattern
from libs.common.selection.wanted import Left, left_for_its_age
from services.api.files.schemas import FileOut, Verdict

_RUN_LOADS_IT = "the next run loads it"
_MAY_BE_LEFT_OUT = (
    "source.partition_pruning is on: if its partition is settled, no run looks there before the next full check, but "
    "for a backfill that names it: POST …/backfill with this key among its keys"
)


@dataclass(frozen=True, slots=True)
class There:
    """The object as the store has it now: its version, None if it is gone; or why that is not known."""

    version: str | None
    problem: str | None = None
    written_at: datetime | None = None

    def is_another_than(self, known: FileOut) -> bool:
        """Whether the key was overwritten since; False also where that is not known."""
        return self.problem is None and self.version not in (None, known.version)

    def words(self, known: str | None = None) -> str:
        if self.problem is not None:
            return f"what is there now is not known: {self.problem}"
        if self.version is None:
            return "there is no such object now"
        if known is None:
            return f"the object is there, in version {self.version}"
        return (
            "the object is there, in that version"
            if self.version == known
            else (f"the object was overwritten since: it is there in version {self.version}")
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, what it rests on, and what to do."""

    verdict: Verdict
    evidence: tuple[str, ...]
    next_action: str


def judge(
    source: Source, created_at: datetime, bucket: str, key: str, versions: Sequence[FileOut], there: There
) -> Judgement:
    """``versions`` are those of the table's current generation, newest first; ``created_at`` is the ingestion's."""
    found = _judged(source, created_at, bucket, key, versions, there)
    is_for_a_run = found.verdict in (Verdict.WAITING, Verdict.NEVER_SEEN) and there.version is not None
    if not source.partition_pruning.enabled or not is_for_a_run:
        return found
    return replace(found, evidence=(*found.evidence, _MAY_BE_LEFT_OUT))


def _judged(
    source: Source, created_at: datetime, bucket: str, key: str, versions: Sequence[FileOut], there: There
) -> Judgement:
    known = _of_the_ledger(source.allow_overwrites, versions, there)
    excluded, evidence = _of_the_definition(source, bucket, key)
    is_loaded = any(v.state in LOADED_FILE_STATES for v in versions)
    if known is not None and (excluded is None or is_loaded):
        return Judgement(known.verdict, (*evidence, *known.evidence), known.next_action)
    if excluded is not None:
        return Judgement(Verdict.EXCLUDED, evidence, excluded)
    if (left := _of_its_age(source, created_at, there)) is not None:
        return Judgement(Verdict.EXCLUDED, (*evidence, "no run has seen it", left.why), left.remedy)
    return _of_the_store(evidence, there)


def while_building(found: Judgement, versions: Sequence[FileOut], refresh_id: UUID) -> Judgement:
    """As the verdict reads while this refresh builds the table of the current generation aside."""
    if not any(v.state is FileState.COMMITTED for v in versions):
        return found
    told = f"refresh {refresh_id} builds a table aside, and the rows are in that one"
    return replace(
        found,
        evidence=(*found.evidence, told),
        next_action="wait: readers see the rows when that refresh has put them in the place of the old ones",
    )


def _of_the_definition(source: Source, bucket: str, key: str) -> tuple[str | None, tuple[str, ...]]:
    """What to do if the definition leaves the key out, and what it says of it."""
    if bucket != source.bucket or not key.startswith(source.prefix):
        return (
            "put the file there, or make another ingestion for its place",
            (f"it does not lie under source.path {source.path}",),
        )
    place = f"it lies under source.path {source.path}"
    if key.endswith("/"):
        return "nothing: it is a folder's marker, not a file", (place, "its key ends with a slash")
    if not Pattern(source.file_pattern).matches(key, source.prefix):
        return (
            "change source.file_pattern if it should be loaded",
            (place, f"its name does not match source.file_pattern {source.file_pattern}"),
        )
    if (reason := unreadable(key)) is not None:
        return (
            "rename the object: a run would refuse it under this name",
            (place, f"its name matches source.file_pattern {source.file_pattern}", reason),
        )
    return None, (place, f"its name matches source.file_pattern {source.file_pattern}")


def _of_its_age(source: Source, created_at: datetime, there: There) -> Left | None:
    if there.written_at is None:
        return None
    return left_for_its_age(source, created_at, there.written_at)


def _of_the_ledger(overwrites: OverwritePolicy, versions: Sequence[FileOut], there: There) -> Judgement | None:
    """What is in work decides, then what is loaded; otherwise the version that is there does, or the newest. None: the
    ledger does not know the key."""
    if not versions:
        return None
    # The version that is there now, if it is known: it may have failed before another one did.
    newest = next((v for v in versions if there.version == v.version), versions[0])
    in_work = next((v for v in versions if v.state in LIVE_FILE_STATES - LOADED_FILE_STATES), None)
    loaded = [v for v in versions if v.state in LOADED_FILE_STATES]
    version = in_work or next((v for v in loaded if v.version == newest.version), next(iter(loaded), newest))
    match version.state:
        case FileState.COMMITTED | FileState.BASELINE if there.is_another_than(version):
            return _overwritten(overwrites, version, newest, there)
        case FileState.COMMITTED | FileState.BASELINE:
            return _loaded(version, there)
        case FileState.BATCHED | FileState.DISCOVERED:
            return _in_work(version, there)
        case FileState.QUARANTINED | FileState.FAILED:
            return _set_aside(version, there)
        case FileState.MISSING:
            return _missing(version, there)
        case FileState.SUPERSEDED:
            told = "it was overwritten before it was read"
            return _judgement(Verdict.SUPERSEDED, told, there, version, "the next run loads what is there now")
        case FileState.SKIPPED:
            told = "it overwrote a version that was loaded then, and is not any more"
            return _judgement(Verdict.WAITING, told, there, version, _RUN_LOADS_IT)


def _loaded(version: FileOut, there: There) -> Judgement:
    if version.state is FileState.BASELINE:
        told = "it was loaded before a new-only refresh, so its rows are in an older generation of the table"
        return _judgement(Verdict.LOADED, told, there, version, "a full refresh would load it into this one")
    return _judgement(Verdict.LOADED, _told_of(version), there, version, "nothing: it is in the table")


def _told_of(loaded: FileOut) -> str:
    return f"run {loaded.run_id} loaded it: {loaded.records} rows, in snapshot {loaded.snapshot_id}"


def _overwritten(overwrites: OverwritePolicy, loaded: FileOut, newest: FileOut, there: There) -> Judgement:
    """Another version than the one that is loaded is there; ``newest`` is that one, if a run has seen it."""
    is_known = newest.version == there.version
    if is_known and newest.state is FileState.FAILED and newest.error_type != FILE_OVERWRITTEN:
        failed = _set_aside(newest, there)
        return replace(failed, evidence=(_told_of(loaded), *failed.evidence))
    rule = f"source.allow_overwrites is {overwrites}"
    match overwrites:
        case "skip":
            verdict, after = Verdict.SUPERSEDED, f"nothing, if the old version is to stay; otherwise {REMEDY}"
        case "fail":
            verdict, after = Verdict.FAILED, f"{REMEDY}; or write the old content back"
        case "append":
            verdict, after = Verdict.WAITING, "the next run adds its rows to those of the version that is loaded"
        case "replace":
            verdict, after = Verdict.WAITING, "the next run puts its rows in the place of those that are loaded"
    return Judgement(verdict, (_told_of(loaded), rule, there.words(loaded.version)), after)


def _in_work(version: FileOut, there: There) -> Judgement:
    if version.state is FileState.BATCHED:
        told = f"run {version.run_id} has it in batch {version.batch_id}, which is under way"
        return _judgement(Verdict.WAITING, told, there, version, "wait for that run to end")
    told = f"run {version.run_id} found it" + (
        f", and gave it up: {version.error}" if version.error else ", and it waits for a batch"
    )
    return _judgement(Verdict.WAITING, told, there, version, _RUN_LOADS_IT)


def _set_aside(version: FileOut, there: There) -> Judgement:
    if version.state is FileState.QUARANTINED:
        told = f"run {version.run_id} set it aside: {version.error}"
        return _judgement(Verdict.QUARANTINED, told, there, version, "repair what is named, and load it again")
    told = f"run {version.run_id} could not load it: {version.error}"
    if there.is_another_than(version):
        return _judgement(Verdict.WAITING, told, there, version, _RUN_LOADS_IT)
    repair = (
        "repair the file and upload it under the same key: the next run loads it; "
        f"or POST …/runs/{version.run_id}/retry if something else was mended"
    )
    return _judgement(Verdict.FAILED, told, there, version, repair)


def _missing(version: FileOut, there: There) -> Judgement:
    told = f"run {version.run_id} found it listed, and gone when it was to be read"
    if there.problem is not None:
        return _judgement(Verdict.FAILED, told, there, version, "if it is back, the next run loads it")
    if there.version is not None:
        return _judgement(Verdict.WAITING, told, there, version, _RUN_LOADS_IT)
    return _judgement(Verdict.FAILED, told, there, version, "upload it: the next run loads it")


def _judgement(verdict: Verdict, told: str, there: There, version: FileOut, next_action: str) -> Judgement:
    return Judgement(verdict, (told, there.words(version.version)), next_action)


def _of_the_store(evidence: Sequence[str], there: There) -> Judgement:
    told = (*evidence, "no run has seen it", there.words())
    if there.problem is not None:
        return Judgement(Verdict.NEVER_SEEN, told, "see to it that the store can be asked, then ask again")
    if there.version is None:
        return Judgement(Verdict.NEVER_SEEN, told, "check the key: upper and lower case count")
    return Judgement(Verdict.NEVER_SEEN, told, "ask for a run: it lists the source anew")
