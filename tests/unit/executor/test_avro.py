"""What an Avro file says of itself: its header, and the columns for its schema."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.schema import Array, Map, Struct, Type, sql
from services.executor.adapters.describing.avro import NoHeader, header_of
from services.executor.adapters.describing.avro_types import NoSchema, schema_of
from tests.support.avro_files import avro, long, record, text
from tests.unit.executor.test_file_types import struct


def container(*blocks: Mapping[bytes, bytes], sized: bool = False) -> bytes:
    """A header whose metadata stands in these blocks, with their sizes or without."""
    written = b"Obj\x01"
    for block in blocks:
        entries = b"".join(text(key) + text(value) for key, value in block.items())
        written += long(-len(block)) + long(len(entries)) + entries if sized else long(len(block)) + entries
    return written + long(0) + b"s" * 16


METADATA = st.dictionaries(st.binary(max_size=20), st.binary(max_size=200), min_size=1, max_size=5)


@given(METADATA, st.booleans(), st.binary(max_size=50))
def test_a_header_is_read_as_it_was_written(metadata: dict[bytes, bytes], sized: bool, behind: bytes) -> None:
    """With sizes before its entries or without, whatever follows; every beginning of it says that it goes on."""
    written = container(metadata, sized=sized)
    found = header_of(written + behind)
    assert found is not None
    assert (metadata, b"s" * 16, len(written)) == (found.metadata, found.sync, found.size_bytes)
    assert all(header_of(written[:end]) is None for end in range(len(written)))


@given(st.binary(max_size=300))
def test_any_bytes_are_no_header_or_one(behind: bytes) -> None:
    """Never another error."""
    try:
        found = header_of(b"Obj\x01" + behind)
    except NoHeader:
        return
    assert found is None or found.size_bytes <= len(behind) + 4


def test_a_header_in_several_parts_is_one() -> None:
    """As writers may split it."""
    found = header_of(container({b"a": b"1"}, {b"b": b"2"}))
    assert found is not None
    assert {b"a": b"1", b"b": b"2"} == found.metadata


@given(st.dictionaries(st.text("abc", min_size=1), st.text(max_size=100), max_size=3), st.integers(0, 9))
def test_it_reads_what_others_write(metadata: dict[str, str], rows: int) -> None:
    """fastavro's headers, and their end, behind which the blocks begin."""
    body = avro(record(id="long"), [{"id": n} for n in range(rows)], metadata=metadata)
    found = header_of(body)
    assert found is not None
    assert {key.encode(): value.encode() for key, value in metadata.items()}.items() <= found.metadata.items()
    assert body[found.size_bytes - 16 : found.size_bytes] == found.sync == body[-16:]


def fields(**types: Any) -> bytes:
    """A record of these fields."""
    named = [{"name": name, "type": type_} for name, type_ in types.items()]
    return json.dumps({"type": "record", "name": "Row", "namespace": "a.b", "fields": named}).encode()


def logical(of: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": of, "logicalType": name, **more}


def fixed(size: int, name: str = "none", **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": f"f{size}", "size": size, "logicalType": name, **more}


POINT = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "int"}]}


@pytest.mark.parametrize(
    ("written", "column"),
    [
        ("boolean", "boolean"),
        ("long", "bigint"),
        ({"type": "string", "avro.java.string": "String"}, "string"),
        ({"type": {"type": "int"}}, "int"),
        ({"type": "enum", "name": "e", "symbols": ["A"]}, "string"),
        ({"type": "array", "items": ["null", "long"]}, Array("bigint")),
        ({"type": "map", "values": POINT}, Map("string", struct(x="int"))),
        (["null", "string"], "string"),
        (["int", {"type": "null"}], "int"),
        (["null", "long", "int"], "bigint"),
        (["double", "float"], "double"),
        (["null", "string", "int"], struct(member0="string", member1="int")),
        (["int", logical("long", "timestamp-micros")], struct(member0="int", member1="timestamp")),
        (["int", "long", "string"], struct(member0="int", member1="bigint", member2="string")),
        (logical("int", "date"), "date"),
        (logical("long", "date"), "bigint"),
        (logical("int", "time-millis"), "time_ms"),
        (logical("long", "time-micros"), "time_us"),
        (logical("long", "timestamp-millis"), "timestamp"),
        (logical("long", "timestamp-nanos"), "timestamp_ns"),
        (logical("long", "local-timestamp-micros"), "timestamp_ntz"),
        (logical("long", "local-timestamp-nanos"), "timestamp_ntz_ns"),
        (logical("string", "uuid"), "string"),
        (logical("string", "of ours"), "string"),
        (fixed(16, "uuid"), "uuid"),
        (fixed(15, "uuid"), "binary"),
        (fixed(12, "duration"), "binary"),
        (logical("bytes", "decimal", precision=10, scale=2), "decimal(10,2)"),
        (logical("bytes", "decimal", precision=40), "decimal(40,0)"),
        (logical("bytes", "decimal", precision=2, scale=3), "binary"),
        (logical("bytes", "decimal"), "binary"),
        (fixed(2, "decimal", precision=4, scale=1), "decimal(4,1)"),
        (fixed(2, "decimal", precision=5, scale=1), "binary"),
    ],
)
def test_every_type_is_read_as_spark_reads_it(written: Any, column: Type) -> None:
    """Also what Avro's own readers pass over: a logical type that cannot be is none."""
    assert struct(id="bigint", v=column) == schema_of(fields(id="long", v=written))


@pytest.mark.parametrize("written", ["null", ["null"], {"type": "array", "items": "null"}, {**POINT, "fields": []}])
def test_what_never_has_a_value_is_no_column(written: Any) -> None:
    """As in the other formats."""
    assert struct(id="bigint") == schema_of(fields(v=written, id="long"))


def test_named_types_are_known_wherever_they_are_used_again() -> None:
    """By their full name, by that of the record around them, and without a namespace."""
    far = {"type": "enum", "name": "Far", "namespace": "c", "symbols": ["A"]}
    bare = {"type": "fixed", "name": "Bare", "namespace": "", "size": 4}
    found = schema_of(
        fields(p=POINT, again="Point", full=["null", "a.b.Point"], far=far, far2="c.Far", b=bare, b2="Bare")
    )
    point = sql(struct(x="int"))
    assert [point, point, point, "string", "string", "binary", "binary"] == [sql(f.type) for f in found.fields]


def deep(levels: int) -> Any:
    return {"type": "array", "items": deep(levels - 1)} if levels else "int"


TREE = {"type": "record", "name": "Tree", "fields": [{"name": "left", "type": ["null", "Tree"]}]}


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (fields(v=TREE), "its type 'a.b.Tree' holds itself"),
        (fields(v="Unheard"), "its schema does not say what 'Unheard' is"),
        (fields(v=POINT, w=POINT), "its schema says twice what 'a.b.Point' is"),
        (fields(v=["int", {**POINT, "fields": []}]), "its schema lets a field choose"),
        (b'"long"', "its schema is no record"),
        (b'[{"type": "record", "name": "r", "fields": []}]', "its schema is no record"),
        (b"", "its schema cannot be read"),
        (b"{", "its schema cannot be read"),
        (b"\xff", "its schema cannot be read"),
        (b'{"type": "record", "name": "r"}', "its schema cannot be read"),
        (b'{"type": "record", "name": "r", "fields": 1}', "its schema cannot be read"),
        (json.dumps({"type": "record", "name": "r", "fields": [{"name": "v", "type": deep(300)}]}).encode(), ""),
    ],
)
def test_a_schema_without_columns_is_refused(written: bytes, reason: str) -> None:
    """With what stands in the way."""
    if not reason:
        assert isinstance(schema_of(written), Struct)
        return
    with pytest.raises(NoSchema, match=f"^{reason}"):
        schema_of(written)


@given(
    st.recursive(
        st.none() | st.integers() | st.sampled_from(["int", "record", "Row", "", "fixed", "array"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "name", "fields", "items", "values", "size", "symbols"]), inner)
        ),
    )
)
def test_any_json_is_a_schema_or_refused(written: Any) -> None:
    """Never another error."""
    try:
        schema_of(fields(v=written))
    except NoSchema:
        return
