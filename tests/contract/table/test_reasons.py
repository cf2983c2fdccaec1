"""Why a line is bad, and where it stands: what the second look at a file says of each."""

import pytest

from libs.common.ledger.model.files import FileVersion
from libs.common.schema import Array, Field, Map, Struct
from services.executor.adapters.reading.json_lines import JsonLines
from services.executor.adapters.reading.origin import Origin
from tests.contract.table.worlds import SparkWorld, rows

pytestmark = [pytest.mark.contract, pytest.mark.requires_spark, pytest.mark.requires_minio]

SCHEMA = Struct(
    (
        Field("id", "bigint", required=True),
        Field("it's", "bigint"),
        Field("s", Struct((Field("x", "bigint"),))),
        Field("m", Map("string", "bigint")),
        Field("l", Array("bigint")),
    )
)
REASONS = {
    b'{"id": "x"}': "column 'id' is bigint and cannot hold x",
    b'{"id": 1.5, "new": [1]}': "column 'id' is bigint and cannot hold 1.5",
    b'{"id": 99999999999999999999}': "column 'id' is bigint and cannot hold 99999999999999999999",
    b'{"id": 1, "s": {"x": "no"}}': "column 's.x' is bigint and cannot hold no",
    b'{"id": 1, "s": 7}': "column 's' is struct<`x`: bigint> and cannot hold 7",
    b'{"id": 1, "m": {"a": "z"}}': 'column \'m\' is map<string, bigint> and cannot hold {"a":"z"}',
    b'{"id": 1, "l": [1, "q"]}': "column 'l' is array<bigint> and cannot hold [1,\"q\"]",
    b'{"id": 1, "it\'s": "z"}': "a value does not fit its column",
    b'{"id": 1, "id": "x"}': "a value does not fit its column",
    b'{"id": null}': "column 'id' must have a value, and has none here",
    b'{"s": {"x": 1}}': "column 'id' must have a value, and has none here",
    b'{"id":': "a JSON object that is cut short",
    b'{"id": tru': "a JSON object that is cut short",
    b'{"id" 1}': "not JSON",
    b"hello": "not JSON",
    b"[1]": "JSON, but not an object",
    b"null": "JSON, but not an object",
    b'{"id": 1}{"id": 2}': "something follows the JSON object on its line",
    b'{"id": 1} x': "something follows the JSON object on its line",
    b'{"id": 1, "n": "caf\xe9"}': "not UTF-8",
}


async def bad_lines(world: SparkWorld, *files: FileVersion, schema: Struct = SCHEMA) -> list[tuple[int, int, str]]:
    """File, line and reason of every bad record."""
    origin = Origin(world.spark.sessions[0])
    with origin.whole_files():
        bad = JsonLines().numbered(origin, files, schema).where("bad").select("file", "line", "reason").collect()
    return sorted((row["file"], row["line"], row["reason"]) for row in bad)


async def test_each_bad_line_has_its_number_and_its_reason(on_spark: SparkWorld) -> None:
    """Good and blank lines between them are counted, and have none."""
    body = b"".join(b'{"id": 1}\n\n' + line + b"\n" for line in REASONS)
    found = await bad_lines(on_spark, on_spark.put("a.json", body))
    assert [(0, 3 * (n + 1), reason) for n, reason in enumerate(REASONS.values())] == found


async def test_lines_are_numbered_in_each_of_many_files(on_spark: SparkWorld) -> None:
    """Small ones, which otherwise share a partition, and one that is otherwise cut."""
    small = [on_spark.put(f"small/{n}.json", rows(range(n)) + b"bad\n") for n in range(5)]
    large = on_spark.put("large.json", rows(range(300_000)) + b"late\n" + rows([1]) + b"later\n")
    found = await bad_lines(on_spark, *small, large, schema=Struct((Field("id", "bigint"),)))
    assert [*((n, n + 1) for n in range(5)), (5, 300_001), (5, 300_003)] == [(file, line) for file, line, _ in found]


async def test_a_table_without_a_column_says_so(on_spark: SparkWorld) -> None:
    """The first file of an ingestion had only empty objects."""
    found = await bad_lines(on_spark, on_spark.put("a.json", b"{}\n"), schema=Struct())
    assert [(0, 1, "the table has no column")] == found


async def test_a_second_look_leaves_the_session_as_it_was(on_spark: SparkWorld) -> None:
    """Also what the session had set itself."""
    session = on_spark.spark.sessions[0]
    before = session.conf.getAll
    await bad_lines(on_spark, on_spark.put("a.json", b"bad\n"))
    assert before == session.conf.getAll
