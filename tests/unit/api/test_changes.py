"""What a change of a definition may do."""

from typing import Any

import pytest

from libs.common.contracts.definition import Credentials, Definition
from libs.common.errors import Conflict, Invalid
from services.api.errors import InvalidBody
from services.api.ingestions.changes import check_identity, merge, patched
from services.api.ingestions.schemas import EXAMPLE, EXAMPLE_ANSWER, IngestionIn

STORED = IngestionIn.model_validate(EXAMPLE).definition().model_dump(mode="json", by_alias=True)
KEYS = Credentials(aws_access_key_id="AKIA", aws_secret_access_key="topsecret", region="eu-central-1")


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [  # the table of RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_is_rfc_7396(target: Any, patch: Any, expected: Any) -> None:
    """The standard's own examples."""
    assert expected == merge(target, patch)


def test_a_patch_keeps_what_it_does_not_mention() -> None:
    """Credentials included."""
    after = patched(STORED, KEYS, {"name": "Renamed"})
    assert after.name == "Renamed"
    assert after.definition().source == Definition.model_validate(STORED).source
    assert after.credentials == KEYS


def test_a_patch_can_change_a_part_of_the_credentials() -> None:
    """Another region, the same keys."""
    after = patched(STORED, KEYS, {"source": {"credentials": {"region": "us-west-2"}}})
    assert KEYS.model_copy(update={"region": "us-west-2"}) == after.credentials


def test_a_patch_removes_credentials_with_null() -> None:
    """The source is then reached with the services' own identity."""
    assert patched(STORED, KEYS, {"source": {"credentials": None}}).credentials is None


def test_a_patch_that_leaves_something_invalid_says_where_and_not_what() -> None:
    """The merged body holds the credentials: no value of it may come out."""
    with pytest.raises(InvalidBody) as caught:
        patched(STORED, KEYS, {"source": {"credentials": {"aws_access_key_id": ""}}})
    assert [e["loc"] for e in caught.value.errors] == [("body", "source", "credentials", "aws_access_key_id")]
    assert "topsecret" not in str(caught.value.errors)


@pytest.mark.parametrize("field", ["id", "status", "metadata", "tenant_id"])
def test_a_patch_of_what_only_answers_have_is_refused(field: str) -> None:
    """Pretending to pause an ingestion would be worse than refusing."""
    with pytest.raises(Invalid, match=field):
        patched(STORED, None, {field: "x"})


def test_what_get_returned_can_be_put_back() -> None:
    """Fields that only answers have are passed over."""
    sent = IngestionIn.model_validate(EXAMPLE_ANSWER)
    assert sent.definition() == IngestionIn.model_validate(EXAMPLE).definition()
    assert sent.credentials is None


def test_the_stored_definition_has_no_credentials() -> None:
    """They live in their own table, sealed."""
    assert "credentials" not in STORED["source"]


@pytest.mark.parametrize(
    "patch",
    [
        {"source": {"path": "s3://elsewhere/"}},
        {"destination": {"catalog": "other"}},
        {"destination": {"database": "other"}},
        {"destination": {"table": "other"}},
    ],
)
def test_source_and_table_are_fixed_after_the_first_run(patch: dict[str, Any]) -> None:
    """The ledger's history belongs to them. Before the first run they may change."""
    before = Definition.model_validate(STORED)
    after = Definition.model_validate(merge(STORED, patch))
    check_identity(before, after, is_bound=False)
    with pytest.raises(Conflict) as caught:
        check_identity(before, after, is_bound=True)
    assert "new ingestion" in caught.value.hint


def test_everything_else_may_change_after_a_run() -> None:
    """Name, pattern, limits, the columns that say where rows came from."""
    before = Definition.model_validate(STORED)
    patch = {
        "name": "n",
        "cluster_id": "c",
        "source": {"file_pattern": "*.x", "max_files_per_trigger": 7},
        "destination": {"metadata_columns": ["_file_path"]},
    }
    check_identity(before, Definition.model_validate(merge(STORED, patch)), is_bound=True)
