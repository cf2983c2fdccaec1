"""What may be said about columns, and what contradicts itself."""

from typing import Any

import pytest
from pydantic import ValidationError

from libs.common.contracts.definition import Format
from libs.common.contracts.schema_rules import SchemaRules
from libs.common.ddl import parse_columns


def rules(**said: Any) -> SchemaRules:
    return SchemaRules.model_validate(said)


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        ({}, "add_new_columns"),
        ({"evolution_enabled": False}, "none"),
        ({"evolution_enabled": False, "schema_evolution_mode": "fail_on_new_columns"}, "fail_on_new_columns"),
        ({"schema_evolution_mode": "none"}, "none"),
    ],
)
def test_the_mode_is_the_finer_word(said: dict[str, Any], mode: str) -> None:
    """Without one, evolution_enabled says it."""
    assert mode == rules(**said).mode


@pytest.mark.parametrize("mode", ["add_new_columns", "add_new_columns_with_type_widening"])
def test_a_mode_that_changes_columns_contradicts_evolution_switched_off(mode: str) -> None:
    """Which of the two is meant, nobody can tell."""
    with pytest.raises(ValidationError, match="contradicts evolution_enabled false"):
        rules(evolution_enabled=False, schema_evolution_mode=mode)


def test_hints_may_be_written_as_others_write_them() -> None:
    """Under another name, as DDL; they are stored in one way."""
    hints = {"price": "decimal(10,2)", "`a.b`": "map<string, string>"}
    assert hints == rules(schema_hints="price decimal(10,2), `a.b` map<string,string>").hints
    assert hints == rules(hints=hints).hints == rules(schema_hints=hints).hints
    with pytest.raises(ValidationError, match="leave one of them out"):
        rules(hints=hints, schema_hints=hints)


def test_columns_may_be_given_as_json_or_as_ddl() -> None:
    """Both read as the same columns."""
    json = {"type": "struct", "fields": [{"name": "id", "type": "long", "nullable": False, "metadata": {}}]}
    for given in (json, "id long not null"):
        assert parse_columns("id bigint not null") == rules(inference="manual", schema_json=given).columns
    assert rules().columns is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"inference": "manual"}, "needs schema_json"),
        ({"schema_json": "id int"}, "no effect with inference 'auto'"),
        ({"inference": "manual", "schema_json": "id itn"}, "'itn' is no type"),
        ({"hold_new_columns": True, "schema_evolution_mode": "rescue"}, "which adds no column"),
        ({"hold_new_columns": True, "evolution_enabled": False}, "which adds no column"),
        ({"hints": {"a": "itn"}}, "the hint for 'a'"),
        ({"hints": "a itn"}, "'itn' is no type"),
        ({"hints": {"a\x00": "int"}}, "NUL"),
        ({"inference": "manual", "schema_json": {"type": "struct", "fields": [{"name": "\x00"}]}}, "NUL"),
    ],
)
def test_what_cannot_be_read_or_has_no_effect_is_refused(said: dict[str, Any], words: str) -> None:
    """The message says what to write."""
    with pytest.raises(ValidationError, match=words):
        rules(**said)


@pytest.mark.parametrize(
    "said", [{"hints": {"a": "map<int, string>"}}, {"inference": "manual", "schema_json": "a map<date, int>"}]
)
def test_json_has_no_map_whose_keys_are_no_text(said: dict[str, Any]) -> None:
    """Spark's reader would refuse it in every run."""
    with pytest.raises(ValidationError, match="map<string"):
        Format.model_validate({"type": "json", "schema": said})
