"""What a sample says of a plan: columns that would be new, and how many records there are."""

import gzip
import json

import pytest

from libs.common.contracts.schema_rules import SchemaRules
from services.api.plans.growth import schema_change
from services.api.preview.lines import Head, head_of
from services.api.preview.sample import Sample


def sample_of(**bodies: bytes) -> Sample:
    sample = Sample()
    for name, body in bodies.items():
        key = name.replace("_", ".")
        cut = body[:1000]
        head = head_of(key, cut, is_all=len(cut) == len(body), lines_max=100, size_bytes_max=1000)
        sample.add(key, head, len(cut))
    return sample


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_columns_that_the_table_lacks_are_told_with_a_file() -> None:
    """Names that differ in case only are one column in most catalogs."""
    sample = sample_of(a_json=lines({"id": 1, "Name": "x"}), b_json=lines({"id": 2, "tail": {"n": 1.5}}))
    change = schema_change(sample, 3, ["id", "name"])
    assert [("tail", "b.json")] == [(c.name, c.first_file) for c in change.columns_added]
    assert change.columns_added[0].type.lower().startswith("struct<")
    assert (2, False) == (change.files_looked_into, change.is_all)


def test_a_new_table_gets_all_of_them() -> None:
    change = schema_change(sample_of(a_json=lines({"id": 1})), 1, ())
    assert ([("id", "bigint")], True) == ([(c.name, c.type.lower()) for c in change.columns_added], change.is_all)


@pytest.mark.parametrize("mode", ["rescue", "none", "fail_on_new_columns"])
def test_a_table_whose_columns_stay_gets_none(mode: str) -> None:
    """A new one still gets its first."""
    sample = sample_of(a_json=lines({"id": 1, "more": 2}))
    sample.rules = SchemaRules.model_validate({"schema_evolution_mode": mode})
    assert [] == schema_change(sample, 1, ["id"]).columns_added
    assert ["id", "more"] == [c.name for c in schema_change(sample, 1, ()).columns_added]


def test_columns_that_keys_fill_come_in_every_mode() -> None:
    """Somebody asked for them."""
    sample = Sample(SchemaRules(schema_evolution_mode="none"), "in/", ("year",))
    sample.add("in/year=2025/a.json", Head((b'{"id": 1, "more": 2}',)), 20)
    [added] = schema_change(sample, 1, ["id"]).columns_added
    assert ("year", "string", "in/year=2025/a.json") == (added.name, added.type, added.first_file)


@pytest.mark.parametrize("count", [3, 50, 400])
def test_records_are_counted_by_the_bytes_that_they_take(count: int) -> None:
    """Also where only the first lines were looked at."""
    body = lines(*({"id": 1000 + n} for n in range(count)))
    assert count == sample_of(a_json=body).records_in(len(body))


def test_a_part_of_a_compressed_file_tells_nothing() -> None:
    """A whole one does."""
    body = gzip.compress(lines(*({"id": n} for n in range(10))))
    assert 20 == sample_of(a_json_gz=body).records_in(2 * len(body))
    large = gzip.compress(lines(*({"id": n} for n in range(10_000))))
    assert None is sample_of(a_json_gz=large).records_in(len(large))
    assert None is Sample().records_in(10)
