"""The index says what asking each ingestion would say, whatever was put in and taken out before."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.common.contracts.definition import Source
from libs.common.ids import IngestionId
from libs.common.selection.wanted import Wanted
from services.scanner.domain.matching import Index

IDS = st.integers(0, 5).map(lambda n: IngestionId(UUID(int=n)))
PATTERNS = st.sampled_from(
    ["*", "*.json", "a*", "ab*", "a.json", "{a,b}*.json", "[ab]*", "?", "**", "a/*", "a/**/b", "**/a*", r"\*a", r"\a*",
     "{a,a/b}", "a/{b,c}*", "[!a]*", "{*,a}"]
)  # fmt: skip
PATHS = st.sampled_from(["", "/", "/a", "/a/", "/a/b", "/ab", "/a//b", "//"])
SOURCES = st.builds(
    lambda bucket, path, pattern: Source(path=f"s3://{bucket}{path}", file_pattern=pattern),
    st.sampled_from(["one", "two"]),
    PATHS,
    PATTERNS,
)
KEYS = st.lists(st.sampled_from(["a", "b", "/", ".json", "*", "c"]), min_size=1, max_size=7).map("".join)


Change = tuple[IngestionId, Source] | IngestionId
"""Put one, or remove one."""


def asked_one_by_one(sources: dict[IngestionId, Source], bucket: str, key: str) -> set[IngestionId]:
    at = datetime(2025, 1, 7, tzinfo=UTC)
    return {i for i, source in sources.items() if source.bucket == bucket and Wanted(source, at).is_named(key)}


@given(
    st.lists(st.tuples(IDS, SOURCES) | IDS, max_size=12),
    st.lists(KEYS, min_size=1, max_size=10),
)
def test_the_index_agrees_with_asking_each_ingestion(changes: list[Change], keys: list[str]) -> None:
    index, sources = Index(), dict[IngestionId, Source]()
    for change in changes:
        match change:
            case (ingestion_id, source):
                index.put(ingestion_id, source)
                sources[ingestion_id] = source
            case _:
                index.remove(change)
                sources.pop(change, None)
    assert len(sources) == len(index)
    for bucket in ("one", "two"):
        for key in keys:
            assert asked_one_by_one(sources, bucket, key) == index.matches(bucket, key)
    for gone in sources:
        index.remove(gone)
    assert not any(index.matches(bucket, key) for bucket in ("one", "two") for key in keys)
