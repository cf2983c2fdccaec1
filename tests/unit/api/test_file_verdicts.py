"""Why a key is in the table or is not: every state of the ledger, every state of the store, in words."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from libs.common.contracts.definition import OverwritePolicy, PartitionPruning, Source
from libs.common.ledger.states import FileState
from services.api.files.schemas import FileOut, Verdict
from services.api.files.verdict import Judgement, There, judge, while_building

SOURCE = Source(path="s3://landing/flights/", file_pattern="*.json")
KEY = "flights/a.json"
RUN = UUID(int=1)
AT = datetime(2025, 1, 7, tzinfo=UTC)
MADE_AT = datetime(2025, 1, 1, tzinfo=UTC)
SAME, NEWER, GONE = There("v1:10"), There("v2:11"), There(None)
UNKNOWN = There(None, "the store did not answer")


def known(
    state: FileState, version: str = "v1:10", *, error: str | None = None, error_type: str | None = None
) -> FileOut:
    return FileOut(
        uri=f"s3://landing/{KEY}",
        key=KEY,
        version=version,
        size_bytes=10,
        last_modified=AT,
        state=state,
        run_id=RUN,
        batch_id=None,
        snapshot_id=7,
        records=3,
        error_type=error_type,
        error=error,
        first_seen_at=AT,
        changed_at=AT,
    )


def of(
    *versions: FileOut, there: There = SAME, bucket: str = "landing", key: str = KEY, source: Source = SOURCE
) -> Judgement:
    return judge(source, MADE_AT, bucket, key, versions, there)


@pytest.mark.parametrize(
    ("state", "there", "verdict", "next_action"),
    [
        (FileState.COMMITTED, SAME, Verdict.LOADED, "nothing: it is in the table"),
        (FileState.COMMITTED, GONE, Verdict.LOADED, "nothing: it is in the table"),
        (FileState.COMMITTED, UNKNOWN, Verdict.LOADED, "nothing: it is in the table"),
        (FileState.COMMITTED, NEWER, Verdict.SUPERSEDED, "allow_overwrites"),
        (FileState.BASELINE, SAME, Verdict.LOADED, "full refresh"),
        (FileState.BATCHED, SAME, Verdict.WAITING, "wait for that run"),
        (FileState.DISCOVERED, SAME, Verdict.WAITING, "next run loads it"),
        (FileState.QUARANTINED, SAME, Verdict.QUARANTINED, "repair"),
        (FileState.FAILED, SAME, Verdict.FAILED, "repair the file"),
        (FileState.FAILED, GONE, Verdict.FAILED, "repair the file"),
        (FileState.FAILED, UNKNOWN, Verdict.FAILED, "repair the file"),
        (FileState.FAILED, NEWER, Verdict.WAITING, "next run loads it"),
        (FileState.MISSING, GONE, Verdict.FAILED, "upload it"),
        (FileState.MISSING, UNKNOWN, Verdict.FAILED, "if it is back"),
        (FileState.MISSING, NEWER, Verdict.WAITING, "next run loads it"),
        (FileState.SUPERSEDED, NEWER, Verdict.SUPERSEDED, "what is there now"),
    ],
)
def test_what_the_ledger_knows_decides(state: FileState, there: There, verdict: Verdict, next_action: str) -> None:
    """And the store says whether it still holds."""
    found = of(known(state), there=there)
    assert verdict is found.verdict
    assert next_action in found.next_action
    assert there.words("v1:10") == found.evidence[-1]
    assert ("it lies under source.path s3://landing/flights/", "its name matches source.file_pattern *.json") == (
        found.evidence[:2]
    )


def test_every_state_has_a_verdict() -> None:
    """Also those that are still to come."""
    for state in FileState:
        assert of(known(state)).next_action


def test_the_live_version_counts_and_otherwise_the_newest() -> None:
    """A key that was loaded stays loaded, whatever became of its other versions, as long as it is as it was."""
    loaded, failed = known(FileState.COMMITTED, "v0:1"), known(FileState.FAILED, "v1:10", error="line 17")
    assert Verdict.LOADED is of(failed, loaded, there=There("v0:1")).verdict
    assert Verdict.LOADED is of(failed, loaded, there=GONE).verdict
    assert Verdict.SUPERSEDED is of(failed, loaded, there=NEWER).verdict
    superseded = known(FileState.SUPERSEDED, "v0:1")
    found = of(failed, superseded)
    assert Verdict.FAILED is found.verdict
    assert any("line 17" in told for told in found.evidence)


@pytest.mark.parametrize(
    ("policy", "newer", "verdict", "next_action"),
    [
        ("skip", None, Verdict.SUPERSEDED, "files/reload"),
        ("skip", FileState.SKIPPED, Verdict.SUPERSEDED, "replace or append"),
        ("append", None, Verdict.WAITING, "adds its rows"),
        ("append", FileState.SKIPPED, Verdict.WAITING, "adds its rows"),
        ("append", FileState.DISCOVERED, Verdict.WAITING, "next run loads it"),
        ("append", FileState.COMMITTED, Verdict.LOADED, "it is in the table"),
        ("append", FileState.FAILED, Verdict.FAILED, "repair the file"),
        ("replace", None, Verdict.WAITING, "in the place of"),
        ("replace", FileState.FAILED, Verdict.FAILED, "repair the file"),
        ("fail", None, Verdict.FAILED, "write the old content back"),
        ("fail", FileState.SKIPPED, Verdict.FAILED, "files/reload"),
    ],
)
def test_an_overwritten_file_is_judged_by_the_policy(
    policy: OverwritePolicy, newer: FileState | None, verdict: Verdict, next_action: str
) -> None:
    """``newer``: what the ledger says of the version that is there, if it knows it."""
    versions = [] if newer is None else [known(newer, "v2:11", error="line 17")]
    source = SOURCE.model_copy(update={"allow_overwrites": policy})
    found = of(*versions, known(FileState.COMMITTED), there=NEWER, source=source)
    assert verdict is found.verdict
    assert next_action in found.next_action


def test_a_file_that_a_run_refused_is_told_with_the_rule_and_the_rows_that_stay() -> None:
    refused = known(FileState.FAILED, "v2:11", error="overwritten", error_type="file_overwritten")
    source = SOURCE.model_copy(update={"allow_overwrites": "fail"})
    found = of(refused, known(FileState.COMMITTED), there=NEWER, source=source)
    assert Verdict.FAILED is found.verdict
    assert "3 rows, in snapshot 7" in found.evidence[-3]
    assert "source.allow_overwrites is fail" == found.evidence[-2]
    assert NEWER.words("v1:10") == found.evidence[-1]


def test_a_version_that_failed_and_is_back_has_failed() -> None:
    """Although another one failed after it."""
    found = of(known(FileState.FAILED, "v2:11", error="line 3"), known(FileState.FAILED, error="line 17"), there=SAME)
    assert Verdict.FAILED is found.verdict
    assert any("line 17" in told for told in found.evidence)


def test_a_file_that_was_given_up_says_why() -> None:
    """It waits for a reason."""
    found = of(known(FileState.DISCOVERED, error="Spark was away"))
    assert any("gave it up: Spark was away" in told for told in found.evidence)


@pytest.mark.parametrize(
    ("bucket", "key", "why", "next_action"),
    [
        ("other", KEY, "does not lie under source.path", "another ingestion"),
        ("landing", "trains/a.json", "does not lie under source.path", "another ingestion"),
        ("landing", "flights/a.csv", "does not match source.file_pattern", "change source.file_pattern"),
        ("landing", "flights/2013/", "ends with a slash", "marker"),
        ("landing", "flights/_a.json", "hidden files", "rename"),
    ],
)
def test_what_the_definition_leaves_out(bucket: str, key: str, why: str, next_action: str) -> None:
    """Whether or not it is there."""
    found = of(bucket=bucket, key=key)
    assert Verdict.EXCLUDED is found.verdict
    assert why in found.evidence[-1]
    assert next_action in found.next_action


def test_what_was_loaded_before_the_pattern_changed_is_loaded() -> None:
    """The evidence tells both."""
    source = Source(path=SOURCE.path, file_pattern="*.csv")
    found = judge(source, MADE_AT, "landing", KEY, [known(FileState.COMMITTED)], SAME)
    assert Verdict.LOADED is found.verdict
    assert any("does not match" in told for told in found.evidence)


def test_where_partitions_are_left_out_it_is_said() -> None:
    """Of files that a run would load, if it looked there."""
    source = SOURCE.model_copy(update={"partition_pruning": PartitionPruning(enabled=True)})
    waits, failed = of(there=SAME, source=source), of(known(FileState.FAILED), there=SAME, source=source)
    assert "POST …/backfill" in waits.evidence[-1]
    assert "backfill" not in str(failed.evidence)
    assert "backfill" not in str(of(there=GONE, source=source).evidence)
    assert "backfill" not in str(of(there=SAME).evidence)


@pytest.mark.parametrize(
    ("there", "why", "next_action"),
    [
        (SAME, "the object is there", "ask for a run"),
        (GONE, "no such object", "check the key"),
        (UNKNOWN, "did not answer", "ask again"),
    ],
)
def test_a_key_that_no_run_has_seen(there: There, why: str, next_action: str) -> None:
    """Too new, misspelt, or nobody knows."""
    found = of(there=there)
    assert Verdict.NEVER_SEEN is found.verdict
    assert "no run has seen it" in found.evidence
    assert why in found.evidence[-1]
    assert next_action in found.next_action


def test_what_is_loaded_aside_is_not_seen_by_readers_yet() -> None:
    """Which table it is in, and when that changes; nothing is said of files that are in neither."""
    versions = [known(FileState.COMMITTED)]
    found = while_building(judge(SOURCE, MADE_AT, "landing", KEY, versions, SAME), versions, UUID(int=7))
    assert Verdict.LOADED is found.verdict
    assert str(UUID(int=7)) in found.evidence[-1]
    assert "wait" in found.next_action
    other = judge(SOURCE, MADE_AT, "landing", KEY, [], SAME)
    assert other == while_building(other, [], UUID(int=7))
