"""Whatever is accepted can be stored, read back and planned; whatever pattern is refused would have found nothing."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.common.contracts.definition import Definition
from libs.common.ledger.model.files import FileVersion
from libs.common.selection.names import unreadable
from libs.common.selection.pattern import Pattern, outlines
from libs.common.selection.wanted import Wanted
from services.api.ingestions.schemas import EXAMPLE, IngestionIn
from services.scanner.domain.planning import BatchPlanner, Limits

NOW = datetime(2025, 1, 7, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
GLOBS = st.text("ab/_.*?![]{},\\", min_size=1, max_size=8)
KEYS = st.text("ab/_.", min_size=1, max_size=8)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Bodies as people and programs send them: most are right, some are odd, and some are refused."""
    name = st.one_of(st.just("orders"), WORDS)
    return {
        **EXAMPLE,
        "name": draw(name),
        "source": {
            "path": f"s3://landing/{draw(st.one_of(st.just('data/'), KEYS, WORDS))}",
            "file_pattern": draw(st.one_of(st.sampled_from(["*", "*.json", "**/2025/*.json.gz"]), GLOBS, WORDS)),
            "max_files_per_trigger": draw(st.integers(1, 10_000)),
            "max_bytes_per_trigger": draw(st.integers(1, 2**70)),
            "include_existing_files": draw(st.booleans()),
            "modified_after": draw(st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat))),
        },
        "schedule": {"timezone": draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))},
    }


@given(bodies(), st.lists(st.tuples(KEYS, st.integers(0, 2**40)), max_size=20))
def test_what_is_accepted_can_be_stored_read_and_planned(body: dict[str, Any], listed: list[tuple[str, int]]) -> None:
    """Equal after its way through JSON; each wanted file is in one batch."""
    try:
        definition = IngestionIn.model_validate(body).definition()
    except ValidationError:
        assume(False)
    stored = json.dumps(definition.model_dump(mode="json", by_alias=True), ensure_ascii=False).encode()
    assert b"\\u0000" not in stored
    assert b"\x00" not in stored
    assert definition == Definition.model_validate(json.loads(stored))

    source = definition.source
    files = [FileVersion(source.bucket, source.prefix + key, "e", size, NOW) for key, size in dict(listed).items()]
    wanted = Wanted(source, NOW).of(files)
    planner = BatchPlanner(Limits(files_max=source.max_files_per_trigger, bytes_max=source.max_bytes_per_trigger))
    batches = [*planner.add(wanted), *planner.rest()]
    assert sorted(f.key for f in wanted) == sorted(f.key for batch in batches for f in batch.files)


@given(GLOBS, KEYS)
@example("a/_**", "a/_b/c")
@example("[a//]b", "ab")
@example("\\_a", "_a")
def test_a_pattern_that_is_refused_would_have_found_nothing(pattern: str, key: str) -> None:
    """Of no key that matches it could the name be read."""
    try:
        refused = all(unreadable(outline) for outline in outlines(pattern))
    except ValueError:
        assume(False)
    if refused and Pattern(pattern).matches(f"p/{key}", "p/"):
        assert unreadable(f"p/{key}") is not None
