"""Which objects a run wants, before anybody asks the ledger."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.contracts.definition import Source
from libs.common.contracts.scope import ANY_AGE, EVERYTHING, Scope
from libs.common.ledger.model.files import FileVersion
from libs.common.selection.wanted import Wanted

NOON = datetime(2025, 1, 7, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SOURCE = Source(path="s3://landing/in/", file_pattern="*.json")


def written(at: datetime, key: str = "in/a.json") -> FileVersion:
    return FileVersion("landing", key, "v1", 10, at)


def wanted(*keys: str, scope: Scope) -> list[str]:
    rules = Wanted(SOURCE, NOON, scope)
    return [f.key for f in rules.of(written(NOON, key) for key in keys)]


def is_wanted(at: datetime, scope: Scope = EVERYTHING, options: Mapping[str, object] | None = None) -> bool:
    source = Source.model_validate({**SOURCE.model_dump(), **(options or {})})
    return bool(Wanted(source, NOON, scope).of([written(at)]))


def test_a_scope_narrows_what_the_pattern_leaves() -> None:
    keys = ("in/2024/a.json", "in/2024/b.csv", "in/2025/a.json", "in/2025/b.json", "other/2025/a.json", "in/2025/")
    assert ["in/2024/a.json", "in/2025/a.json", "in/2025/b.json"] == wanted(*keys, scope=EVERYTHING)
    assert ["in/2025/a.json", "in/2025/b.json"] == wanted(*keys, scope=Scope(prefix="in/2025/"))
    assert ["in/2024/a.json", "in/2025/a.json"] == wanted(*keys, scope=Scope(key_regex=r"/a\.json$"))
    assert ["in/2025/a.json"] == wanted(*keys, scope=Scope(prefix="in/2025/", key_regex="a"))


@pytest.mark.parametrize(
    ("prefix", "listed"),
    [(None, "in/"), ("in/2025/", "in/2025/"), ("in/2", "in/2"), ("i", "in/"), ("", "in/"), ("other/", "in/")],
)
def test_a_listing_looks_in_the_narrower_place(prefix: str | None, listed: str) -> None:
    assert listed == Wanted(SOURCE, NOON, Scope(prefix=prefix)).prefix


def test_a_prefix_elsewhere_wants_nothing() -> None:
    assert [] == wanted("in/a.json", "other/a.json", scope=Scope(prefix="other/"))


def test_a_range_has_its_beginning_and_not_its_end() -> None:
    hour = Scope(modified_from=NOON, modified_until=NOON + timedelta(hours=1))
    times = [NOON - SECOND, NOON, NOON + timedelta(hours=1) - SECOND, NOON + timedelta(hours=1)]
    assert [False, True, True, False] == [is_wanted(at, hour) for at in times]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [True, True, True]),
        ({"include_existing_files": False}, [False, True, True]),
        ({"modified_after": NOON}, [False, False, True]),
        ({"modified_before": NOON}, [True, False, False]),
        ({"modified_after": NOON - SECOND, "modified_before": NOON + SECOND}, [False, True, False]),
    ],
)
def test_what_the_definition_leaves_out_for_its_age_is_for_backfills(
    options: dict[str, object], expected: list[bool]
) -> None:
    """The ingestion was made at noon."""
    times = [NOON - SECOND, NOON, NOON + SECOND]
    assert expected == [is_wanted(at, EVERYTHING, options) for at in times]
    assert [True, True, True] == [is_wanted(at, ANY_AGE, options) for at in times]


def test_a_store_that_tells_whole_seconds_hides_nothing_new() -> None:
    """The ingestion was made half a second past noon, and a file landed at once: the store says noon."""
    source = Source(path="s3://landing/in/", include_existing_files=False)
    assert Wanted(source, NOON + SECOND / 2).of([written(NOON)])
    assert not Wanted(source, NOON + SECOND / 2).of([written(NOON - SECOND)])


def test_a_reason_names_the_rule_and_the_way_out() -> None:
    source = Source(path="s3://landing/in/", include_existing_files=False)
    left = Wanted(source, NOON).too_old_or_new(written(NOON - SECOND))
    assert left is not None
    assert "2025-01-07 11:59:59 UTC" in left.why
    assert "include_existing_files" in left.why
    assert "/backfill" in left.remedy


@pytest.mark.parametrize("expression", ["(a", "(?=a)", r"(a)\1", "a" * 1025])
def test_an_expression_that_cannot_be_read_is_refused(expression: str) -> None:
    """RE2 has no look-around and no back references: what is left is matched in linear time."""
    with pytest.raises(ValueError, match=r"regular expression|characters"):
        Wanted(SOURCE, NOON, Scope(key_regex=expression))


def test_no_expression_takes_for_ever() -> None:
    """With Python's own engine this would not end before the universe does."""
    assert [] == wanted("in/" + "a" * 900 + ".json", scope=Scope(key_regex="(a+)+$"))
