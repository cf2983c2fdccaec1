"""Partitionings as people write them, and how a refusal reads."""

from typing import Any

import pytest
from pydantic import ValidationError

from libs.common.contracts.definition import Destination
from libs.common.contracts.partitioning import Transform, parse

TO: dict[str, Any] = {"catalog": "lake", "database": "demo", "table": "flights"}


@pytest.mark.parametrize(
    ("entry", "read"),
    [
        ("day", Transform("identity", ("day",))),
        (" days( ts ) ", Transform("days", ("ts",))),
        ("HOURS(ts)", Transform("hours", ("ts",))),
        ("bucket(16,id)", Transform("bucket", ("id",), 16)),
        ("truncate(4, meta.name)", Transform("truncate", ("meta", "name"), 4)),
        ("`a b`.`c``d`", Transform("identity", ("a b", "c`d"))),
        ("days(`a.b`)", Transform("days", ("a.b",))),
        ("years", Transform("identity", ("years",))),
    ],
)
def test_what_iceberg_calls_a_transform_is_read(entry: str, read: Transform) -> None:
    """Case and spaces do not matter outside of names."""
    assert read == parse(entry)


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        ("day(ts)", "write days(ts)"),
        ("hour(ts)", "write hours(ts)"),
        ("date(ts)", "write days(ts)"),
        ("bucket(id, 16)", "write bucket(16, c)"),
        ("bucket(id)", "write bucket(16, c)"),
        ("bucket(0, id)", "1 or more"),
        ("truncate(99999999999, id)", "at most 2,147,483,647"),
        ("days(ts, id)", "not the name of one column"),
        ("days()", "not the name of one column"),
        ("order-id", "in backquotes"),
        ("days(order-id)", "in backquotes"),
        ("a..b", "in backquotes"),
        ("", "write a column"),
        ("``", "write a column"),
        ("zorder(a, b)", "there is no zorder()"),
        ("id; DROP TABLE x", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_write(entry: str, remedy: str) -> None:
    """The entry is repeated, so that one of many is found."""
    with pytest.raises(ValidationError) as caught:
        Destination.model_validate(TO | {"partitioning": {"enabled": True, "columns": ["id", entry]}})
    [error] = caught.value.errors()
    assert ("partitioning",) == error["loc"]
    assert remedy in error["msg"]
    assert repr(entry) in error["msg"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["days(ts)", "hours(TS)"], "keep hours(TS), the finer one"),
        (["id", "ID"], "keep one of them"),
        (["bucket(4, id)", "bucket(8, id)"], "keep one of them"),
        (["ts_day", "days(ts)"], "keep one of them"),
        ([], "needs partitioning.columns"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(columns: list[str], said: str) -> None:
    """Iceberg would refuse the table, when the first files are there."""
    with pytest.raises(ValidationError, match=r"keep|needs") as caught:
        Destination.model_validate(TO | {"partitioning": {"enabled": True, "columns": columns}})
    assert said in caught.value.errors()[0]["msg"]


def test_a_column_may_be_used_in_different_ways() -> None:
    """What a user wants of a table: days to prune by, buckets to spread by."""
    asked = {"enabled": True, "columns": ["ts", "days(ts)", "id", "bucket(16, id)"]}
    parts = Destination.model_validate(TO | {"partitioning": asked}).partitioning.parts
    assert ["ts", "days(ts)", "id", "bucket(16, id)"] == [str(part) for part in parts]


def test_nothing_is_partitioned_unless_it_is_enabled() -> None:
    """As the contract has it."""
    assert () == Destination.model_validate(TO).partitioning.parts
