"""Files as no producer should write them (F43–F48): each is loaded whole and once, or set aside by name with a reason;
the good file beside it always loads."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.landing import Landing, landing, lines
from tests.faults.tally import Faults
from tests.support.installation import Installation, installation

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

GOOD_ROWS = 20
ROW = {"id": 1, "text": "row 1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def autoloader() -> AsyncIterator[Installation]:
    async with installation() as started:
        await asyncio.gather(started.start("scanner"), started.start("executor"))
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def files(autoloader: Installation, spark: Any, faults: Faults) -> AsyncIterator[Landing]:
    async with landing(autoloader, spark, faults) as place:
        await place.put_rows("good.json", 1000, GOOD_ROWS)
        yield place


def nested(depth: int) -> Any:
    """An object in an object, and so on."""
    return {"d": nested(depth - 1)} if depth else 1


async def load(files: Landing, refused: dict[str, int | None]) -> dict[str, Any]:
    """A run that sets exactly these aside, by address, with the line if it is known; then the oracle."""
    files.faults.inject(len(files.keys) - 1)  # the good one is no fault
    run = await files.run("partial" if refused else "success")
    assert refused == {error["file"]: error["line"] for error in run["errors"]}, files.story_of(run)
    assert all(error["message"] for error in run["errors"])
    assert len(files.ids) == run["metrics"]["records_ingested"]
    await files.check()
    again = await files.run("success")
    assert 0 == again["metrics"]["files_processed"]
    await files.check()
    return run


@pytest.mark.fault("F43", "bad lines first, in the middle, last, and nothing else")
async def test_a_bad_line_is_named_wherever_it_is(files: Landing) -> None:
    """First, in the middle, last; and a file that has nothing else (F43)."""
    good = [{"id": i, "text": f"row {i}"} for i in range(9)]
    refused: dict[str, int | None] = {}
    for at in (1, 5, 10):
        spoiled = lines(*good[: at - 1]) + b'{"id": 7, "text": \n' + lines(*good[at - 1 :])
        refused[await files.put(f"bad_line_{at}.json", spoiled)] = at
    refused[await files.put("all_bad.json", b"no\njson\nat all\n")] = 1
    await load(files, refused)


@pytest.mark.fault("F44", "archives that break off or are named otherwise")
async def test_an_archive_that_is_not_whole_or_not_what_it_says(files: Landing) -> None:
    """One that breaks off is named. A gzip named .json, plain text named .gz and a whole one beside them load (F44)."""
    packed = gzip.compress(lines(*({"id": i, "text": "x" * 200} for i in range(100, 300))))
    await files.put("whole.json.gz", gzip.compress(lines({"id": 5, "text": "packed"})), [5])
    await files.put("plain.json.gz", lines(ROW), [1])
    await files.put("packed.json", packed, range(100, 300))
    refused: dict[str, int | None] = {
        await files.put("broken_off.json.gz", packed[: len(packed) // 2]): None,
        await files.put("broken_off.json", packed[: len(packed) // 2]): None,
    }
    await load(files, refused)


@pytest.mark.fault("F44", "an archive that grows two hundredfold (40 MB, scaled down)")
async def test_an_archive_that_grows_a_thousandfold(files: Landing) -> None:
    """40 MB of rows in 200 KB (F44, scaled down): it is one file like any other."""
    ids = range(10_000, 50_000)
    body = lines(*({"id": i, "text": "0" * 1000} for i in ids))
    await files.put("bomb.json.gz", gzip.compress(body), ids)
    await load(files, {})


@pytest.mark.fault("F45", "0 bytes, a newline, blanks")
async def test_files_with_hardly_anything_in_them(files: Landing) -> None:
    """0 bytes, a newline, only blanks: no rows, and no errors (F45)."""
    for name, body in {"empty": b"", "newline": b"\n", "blanks": b"  \n\t\r\n\n"}.items():
        await files.put(f"{name}.json", body)
    run = await load(files, {})
    assert 4 == run["metrics"]["files_processed"]


@pytest.mark.fault("F45", "CRLF, no last newline, a byte order mark")
async def test_line_ends_and_marks_that_editors_leave(files: Landing) -> None:
    """CRLF, no last newline, a byte order mark: the rows are all there, and no column is named after the mark (F45)."""
    await files.put("crlf.json", b'{"id": 1, "text": "a"}\r\n{"id": 2, "text": "b"}\r\n', [1, 2])
    await files.put("no_last.json", b'{"id": 3, "text": "c"}\n{"id": 4, "text": "d"}', [3, 4])
    await files.put("bom.json", b'\xef\xbb\xbf{"id": 5, "text": "e"}\n{"id": 6, "text": "f"}\n', [5, 6])
    await load(files, {})
    columns = (await asyncio.to_thread(files.spark.table, files.table)).columns
    assert ["id", "text"] == columns


@pytest.mark.fault("F45", "UTF-16, Latin-1, NUL")
async def test_other_encodings_are_set_aside(files: Landing) -> None:
    """UTF-16, Latin-1, NUL bytes: never rows with other letters than the file's (F45)."""
    text = '{"id": 1, "text": "é"}\n'
    refused: dict[str, int | None] = {
        await files.put("utf16.json", text.encode("utf-16")): 1,
        await files.put("latin1.json", text.encode("latin-1")): 1,
        await files.put("nul.json", b'{"id": 2, "text": "a"}\n\x00\x00\x00\n'): 2,
    }
    await load(files, refused)


@pytest.mark.fault("F46", "a line of 10 MB, a row of 2,000 columns")
async def test_large_lines_and_wide_rows(files: Landing) -> None:
    """A line of 10 MB, and a row of 2,000 columns (F46)."""
    await files.put("long.json", lines({"id": 1, "text": "x" * 10_000_000}), [1])
    await files.put("wide.json", lines({"id": 2, **{f"c{i}": i for i in range(2_000)}}), [2])
    await load(files, {})


@pytest.mark.fault("F46", "objects nested 20 and 500 deep")
async def test_deep_nesting_is_loaded_or_refused_by_name(files: Landing) -> None:
    """Objects in objects: 20 deep is loaded; 500 deep is more than Spark Connect can describe, and named (F46)."""
    await files.put("deep.json", lines({"id": 1, "deep": nested(20)}), [1])
    too_deep = await files.put("too_deep.json", lines({"id": 2, "chain": nested(500)}))
    files.faults.inject()
    run = await files.run("partial")
    assert [(too_deep, "nested_too_deep")] == [(e["file"], e["error_type"]) for e in run["errors"]], files.story_of(run)
    await files.check()


@pytest.mark.fault("F47", "keys with every odd character", quick=True)
async def test_strange_keys_are_loaded_under_their_exact_names(files: Landing) -> None:
    """Whatever a key may hold that Spark or a URL would read as something else; each of them once (F47)."""
    names = [
        "a b.json", "a+b.json", "a=b.json", "a%20b.json", "100%.json", "a#b.json", "a?b.json", "a*b.json", "a[b].json",
        "a{b,c}.json", "a\\b.json", "a'b.json", 'a"b.json', "😀.json", "caf\u00e9.json", "cafe\u0301.json",
        "k=v/part.json", "_folder/a.json", ".folder/a.json", "long/" + "/".join(["x" * 200] * 4) + ".json",
        "a;b.json", "a&b.json", "a:b.json", "a,b.json", "a~b.json", "$a.json", "a@b.json",
    ]  # fmt: skip
    for i, name in enumerate(names):
        await files.put(name, lines({"id": i, "text": name}), [i])
    run = await load(files, {})
    assert len(names) + 1 == run["metrics"]["files_processed"]


@pytest.mark.fault("F47", "keys that Spark would skip")
async def test_keys_that_spark_would_skip_are_refused_by_name(files: Landing) -> None:
    """Hidden names, half-copied names, a control character: never skipped in silence (F47)."""
    names = ["_hidden.json", ".hidden.json", "sub/_SUCCESS", "a.json._COPYING_", "a\nb.json"]
    refused: dict[str, int | None] = {await files.put(name, lines(ROW)): None for name in names}
    await load(files, refused)


@pytest.mark.fault("F48", "columns new, missing, in another order")
async def test_columns_come_and_go(files: Landing) -> None:
    """A file with a new column, one without an old one, one whose fields come in another order (F48)."""
    await files.put("new.json", lines({"id": 1, "text": "a", "more": 1.5}), [1])
    await files.put("missing.json", lines({"id": 2}), [2])
    await files.put("turned.json", lines({"text": "c", "id": 3}), [3])
    await load(files, {})
    rows = await asyncio.to_thread(lambda: files.spark.table(files.table).where("id < 10").orderBy("id").collect())
    assert [("a", 1.5), (None, None), ("c", None)] == [(row["text"], row["more"]) for row in rows]


@pytest.mark.fault("F48", "types that do not fit, names that differ in case")
async def test_types_that_do_not_fit_are_set_aside_and_change_nothing(files: Landing) -> None:
    """A text where the table has numbers, an object where it has texts; the table keeps its columns (F48)."""
    await files.run("success")
    before = (await asyncio.to_thread(files.spark.table, files.table)).schema.jsonValue()
    refused: dict[str, int | None] = {
        await files.put("number_to_text.json", lines({"id": "one", "text": "a"})): 1,
        await files.put("text_to_object.json", lines({"id": "x", "text": {"a": 1}})): 1,
        await files.put("case_only.json", lines({"id": 3, "text": "a", "TEXT": "b"})): None,
    }
    files.faults.inject(len(refused))
    run = await files.run("failed")
    assert set(refused) == {error["file"] for error in run["errors"]}, files.story_of(run)
    await files.check()
    after = (await asyncio.to_thread(files.spark.table, files.table)).schema.jsonValue()
    assert json.dumps(before) == json.dumps(after)


@pytest.mark.fault("F48", "a JSON key twice in one object")
async def test_a_key_twice_in_one_object_is_one_value(files: Landing) -> None:
    """The row is there once, and so is its column (F48)."""
    await files.put("doubled.json", b'{"id": 1, "id": 1, "text": "a"}\n', [1])
    await load(files, {})


@pytest.mark.fault("F48", "types that do not fit, new fields and names in another case, rescued")
async def test_in_a_table_that_rescues_nothing_is_set_aside(files: Landing) -> None:
    """Whatever a record holds beside the columns is kept beside them; the columns stay (F48)."""
    await files.follow(schema_evolution_mode="rescue", hints={"n": "int"})
    await files.run("success")
    odd: dict[str, dict[str, Any]] = {
        "text_for_number.json": {"n": "one"},
        "object_for_number.json": {"n": {"a": 1}},
        "too_large.json": {"n": 2**40},
        "new.json": {"more": 1.5},
        "case_only.json": {"TEXT": "b"},
    }
    for number, (name, fields) in enumerate(odd.items()):
        await files.put(name, lines({"id": number, "text": "a", **fields}), [number])
    files.faults.inject(len(odd))
    run = await files.run("success")
    assert (len(odd), 0) == (run["metrics"]["records_ingested"], run["metrics"]["records_quarantined"])
    await files.check()
    rows = await asyncio.to_thread(lambda: files.spark.table(files.table).where("id < 10").orderBy("id").collect())
    kept = [{k: v for k, v in json.loads(row["_rescued_data"]).items() if k != "_file_path"} for row in rows]
    assert list(odd.values()) == kept
    assert ["id", "text", "n", "_rescued_data"] == rows[0].__fields__


@pytest.mark.fault("F48", "int→long with widening; new columns where they are refused")
async def test_modes_change_columns_only_as_they_say(files: Landing) -> None:
    """A value that is too large widens its column, a text does not; then no file may bring a column (F48)."""
    await files.follow(schema_evolution_mode="add_new_columns_with_type_widening", hints={"n": "int"})
    await files.run("success")
    await files.put("large.json", lines({"id": 1, "text": "a", "n": 2**40}), [1])
    text = await files.put("text.json", lines({"id": 2, "text": "a", "n": "one"}))
    files.faults.inject(2)
    run = await files.run("partial")
    assert [text] == [error["file"] for error in run["errors"]], files.story_of(run)
    assert "bigint" == dict((await asyncio.to_thread(files.spark.table, files.table)).dtypes)["n"]
    await files.follow(schema_evolution_mode="fail_on_new_columns", hints=None)
    new = await files.put("new.json", lines({"id": 3, "text": "a", "more": 1}))
    await files.put("plain.json", lines({"id": 4, "text": "b"}), [4])
    run = await files.run("partial")
    assert [(new, "new_columns")] == [(error["file"], error["error_type"]) for error in run["errors"]]
    await files.check()
