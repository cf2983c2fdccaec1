"""What people write as a partitioning is read as it was meant, or refused; whatever is read can be put into SQL."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from libs.common.contracts.partitioning import TIME_UNITS, WIDTH_MAX, Transform, parse, parse_all
from libs.common.partitioned import TIME, fit
from libs.common.schema import Field, Struct

NAMES = st.one_of(
    st.sampled_from(["id", "ts", "a b", "a.b", "a`b", "é", "days", "bucket(4, x)", "1", " x ", "ID", "order"]),
    st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=6),
)
COLUMNS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
TRANSFORMS = st.one_of(
    st.builds(Transform, st.sampled_from(["identity", *TIME_UNITS]), COLUMNS),
    st.builds(Transform, st.sampled_from(["bucket", "truncate"]), COLUMNS, st.integers(1, WIDTH_MAX)),
)
SCALARS = ["bigint", "double", "string", "boolean", "date", "timestamp", "decimal(10,2)"]


@given(TRANSFORMS)
def test_what_is_written_is_read_as_it_was_meant(part: Transform) -> None:
    """Whatever the columns are called, and with names that are all quoted as well."""
    assert part == parse(str(part)) == parse(part.sql)


@given(st.one_of(st.text(max_size=30), st.text("abdysuckethrn(), `.0123456789", max_size=25)))
@example("days(ts)")
@example("bucket(16, `a``b`.c)")
@example("days(ts) , id")
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    """What is read says the same when it is written again; a refusal repeats the entry."""
    refusal, part = "", None
    try:
        part = parse(text)
    except ValueError as error:
        refusal = str(error)
    assert repr(text) in refusal if part is None else part == parse(str(part))


@given(st.lists(TRANSFORMS, max_size=4))
def test_parts_that_are_accepted_together_have_names_of_their_own(parts: list[Transform]) -> None:
    """As Iceberg asks of them, whatever the case."""
    try:
        together = parse_all([str(part) for part in parts])
    except ValueError:
        return
    assert tuple(parts) == together
    assert len({part.name.lower() for part in together}) == len(parts)
    times = [tuple(name.lower() for name in part.column) for part in together if part.is_of_time]
    assert len(set(times)) == len(times)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Struct, list[Transform]]:
    names = draw(st.lists(st.sampled_from(["id", "ts", "name", "x_day"]), min_size=1, unique=True))
    schema = Struct(tuple(Field(name, draw(st.sampled_from(SCALARS))) for name in names))
    spelled = st.sampled_from([*names, *(name.upper() for name in names), "gone"]).map(lambda name: (name,))
    plain: st.SearchStrategy[Any] = st.builds(Transform, st.sampled_from(["identity", *TIME_UNITS]), spelled)
    return schema, draw(st.lists(plain, max_size=3))


@given(tables())
def test_a_fit_changes_nothing_but_texts_whose_time_is_taken(table: tuple[Struct, list[Transform]]) -> None:
    """And asked again of what it gave, it gives the same: a table that is made again is the same table."""
    schema, parts = table
    found = fit(schema, parts)
    changed = {f.name for f, before in zip(found.schema.fields, schema.fields, strict=True) if f != before}
    assert changed <= {f.name for f in schema.fields if f.type == "string"}
    assert all(f.type == TIME for f in found.schema.fields if f.name in changed)
    if not found.misfits:
        assert found == fit(found.schema, found.parts)
        assert {f.name for f in schema.fields} >= {part.column[0] for part in found.parts}
