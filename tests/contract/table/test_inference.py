"""What the preview says of lines, held against Spark: the columns that they make, and which of them are bad."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Array, Struct, Type, distinct
from services.api.preview.inference import Place, is_blank, line_of
from services.executor.adapters.reading.json_lines import JsonLines
from services.executor.adapters.reading.origin import Origin
from tests.contract.table.worlds import Spark, SparkWorld

pytestmark = pytest.mark.contract

CASES: dict[str, Sequence[bytes]] = {
    "scalars": [b'{"i": 1, "f": 1.5, "b": true, "s": "x", "n": null}'],
    "numbers widen": [b'{"a": 1}', b'{"a": 2.5}', b'{"a": 1e400}'],
    "a whole float": [b'{"a": 1.0}'],
    "the largest longs": [b'{"a": 9223372036854775807, "b": -9223372036854775808}'],
    "just beyond": [b'{"a": 9223372036854775808, "b": -9223372036854775809}'],
    "decimals of several lengths": [b'{"a": 99999999999999999999999}', b'{"a": 9223372036854775808}'],
    "a decimal and a long": [b'{"a": 9223372036854775808}', b'{"a": 1}'],
    "a long decimal and a long": [b'{"a": 99999999999999999999999}', b'{"a": 1}'],
    "a decimal and a float": [b'{"a": 9223372036854775808}', b'{"a": 0.5}'],
    "38 digits": [b'{"a": %s}' % (b"9" * 38)],
    "39 digits": [b'{"a": %s}' % (b"9" * 39)],
    "1,000 digits": [b'{"a": 1}', b'{"b": %s}' % (b"9" * 1000)],
    "1,001 digits": [b'{"a": 1}', b'{"b": %s}' % (b"9" * 1001)],
    "a long float": [b'{"a": 1}', b'{"b": 0.%s}' % (b"9" * 1001)],
    "number and text": [b'{"a": 1}', b'{"a": "x"}'],
    "number and truth": [b'{"a": 1}', b'{"a": true}'],
    "object and text": [b'{"a": {"b": 1}}', b'{"a": "x"}'],
    "object and list": [b'{"a": {"b": 1}}', b'{"a": [1]}'],
    "null first": [b'{"a": null}', b'{"a": [null]}', b'{"a": [1]}'],
    "only null": [b'{"a": null, "b": [null], "c": []}'],
    "empty text": [b'{"a": "", "t": ""}', b'{"a": "", "t": "x"}'],
    "empty text and number": [b'{"a": ""}', b'{"a": 1}'],
    "empty text and float": [b'{"a": ""}', b'{"a": 1.5}'],
    "empty text and truth": [b'{"a": ""}', b'{"a": true}'],
    "empty text and object": [b'{"a": ""}', b'{"a": {"b": 1}}'],
    "empty text and list": [b'{"a": ""}', b'{"a": [1]}'],
    "empty text in a list": [b'{"a": ["", 1]}'],
    "empty text below": [b'{"a": {"b": ""}}', b'{"a": {"b": 1}}'],
    "objects grow": [b'{"a": {"b": 1}}', b'{"a": {"c": "x", "b": 1.5}}'],
    "empty objects": [b'{"a": {}, "b": 1, "c": [{}], "d": {"e": {}}}'],
    "no fields": [b"{}"],
    "nothing": [],
    "blank lines": [b"", b" \t", b'{"a": 1}'],
    "no name": [b'{"": 1, "a": 2}'],
    "lists in lists": [b'{"a": [[1], [2.5]], "b": [1, "x"], "c": [{"d": 1}, {"e": 2}]}'],
    "names in their order": ['{"b": 1, "a": 1, "é": 1, "Z": 1, "\U0001f600": 1, "\uffee": 1, "_": 1}'.encode()],
    "case twins": [b'{"a": 1, "A": "x"}', b'{"A": "y"}'],
    "case twins in two lines": [b'{"a": 1}', b'{"A": 2}'],
    "case twins below": [b'{"o": {"a": 1, "A": "x"}}'],
    "list of objects at the root": [b'[{"a": 1}, {"b": 2}]', b'{"c": 1}'],
    "list of scalars at the root": [b"[1, 2]", b'{"c": 1}'],
    "mixed list at the root": [b'[{"a": 1}, 2]', b'{"c": 1}'],
    "list of null and object at the root": [b'[null, {"a": 1}, ""]', b'{"c": 1}'],
    "lists of lists at the root": [b'[[{"a": 1}], [{"b": 1}]]', b'{"c": 1}'],
    "lists and objects at the root": [b'[[{"a": 1}], {"b": 1}]', b'{"c": 1}'],
    "scalars at the root": [b"1", b'"x"', b"true", b"null", b'{"c": 1}'],
    "only scalars": [b"1", b'"x"'],
    "not JSON": [b"hello", b'{"a": 1}'],
    "unfinished": [b'{"a": 1, "b": ', b'{"c": 1}'],
    "two on a line": [b'{"a": 1}{"b": 2}', b'{"c": 1}'],
    "rubbish behind": [b'{"a": 1} x', b'{"c": 1}'],
    "space around": [b' \t{"a": 1} \t', b'{"c": 1}'],
    "not numbers": [b'{"a": NaN}', b'{"b": Infinity}', b'{"c": -Infinity}', b'{"d": 1}'],
    "NaN in a text": [b'{"a": "NaN"}'],
    "leading zero": [b'{"a": 01}', b'{"b": 1}'],
    "Latin-1": [b'{"a": "caf\xe9"}', b'{"b": 1}'],
    "a control character": [b'{"a": "x\ty"}', b'{"b": 1}'],
    "NUL": [b'{"a": 1}\0', b'{"b": 1}'],
    "escapes": [rb'{"\u0061": "\ud83d\ude00", "b\n": "\u0000"}'],
    "deep": [b'{"a": 1}', b'{"b": %s1%s}' % (b"[" * 40, b"]" * 40)],
    "too deep": [b'{"a": 1}', b'{"b": %s1%s}' % (b"[" * 1200, b"]" * 1200)],
    "dates stay text": [b'{"a": "2025-01-07", "b": "2025-01-07T12:34:56Z"}'],
}


def told(lines: Sequence[bytes]) -> tuple[Struct, list[bool]]:
    """What the preview makes of the lines: the columns, and which lines that are not blank are bad."""
    places = Place()
    read = [line_of(raw) for raw in lines if not is_blank(raw)]
    for line in read:
        for shown in line.shown:
            places.see(shown, "f")
    # The preview warns of empty texts by field, and does not count the lines.
    return places.struct, [line.record is None or has_empty_text(line.record, places.struct) for line in read]


def has_empty_text(value: Any, found: Type) -> bool:
    """Whether there is a text of no characters where the column is of another type."""
    match found:
        case Struct(fields=fields) if isinstance(value, dict):
            return any(has_empty_text(value.get(f.name), f.type) for f in fields)
        case Array(element=inner) if isinstance(value, list):
            return any(has_empty_text(v, inner) for v in value)
        case _:
            return value == "" and found != "string"


def bad_lines(world: SparkWorld, file: FileVersion, schema: Struct) -> list[bool]:
    """Which lines that are not blank the executor holds for bad, in the file's order."""
    spark = world.spark.sessions[0]
    parsed = JsonLines().records(Origin(spark), [file], schema)
    return [row["bad"] for row in parsed.where("NOT blank").select("bad").collect()]


def written(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize("name", CASES)
async def test_spark_agrees(on_spark: SparkWorld, name: str) -> None:
    """On the columns, and on what is bad in a table of these columns."""
    lines = CASES[name]
    file = on_spark.put("a.json", written(lines))
    schema, bad = told(lines)
    assert schema == await on_spark.one.infer([file])
    columns = distinct(schema)
    assert isinstance(columns, Struct)
    if columns.fields:
        assert bad == bad_lines(on_spark, file, columns)


NAMES = st.sampled_from(["a", "b", "B", "", "é", "\U0001f600", "\uffee", "a b"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**22, 10**38, 10**39]),
    st.floats(),
    st.sampled_from(["", "x", "1", "true", "NaN", "2025-01-07"]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
COLUMNS = 30
"""As many small questions in one: asking Spark costs half a second."""
RECORDS = st.lists(st.tuples(*[VALUES] * COLUMNS), min_size=1, max_size=4)


@settings(max_examples=20, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(RECORDS)
def test_spark_agrees_on_the_types_of_whatever_there_is(spark: Spark, s3: Any, records: list[tuple[Any, ...]]) -> None:
    """Values at random, nested and mixed, under names that sort and compare strangely."""
    lines = [json.dumps({f"c{n}": v for n, v in enumerate(record)}).encode() for record in records]
    world = SparkWorld(spark, s3)
    try:
        file = world.put("a.json", written(lines))
        assert told(lines)[0] == asyncio.run(world.one.infer([file]))
    finally:
        world.clean()
