"""Which definitions are accepted, and how a refusal reads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.common.contracts.definition import Credentials, Definition, Destination, Source

VALID: dict[str, Any] = {
    "name": "Flights",
    "cluster_id": "local",
    "source": {"path": "s3://landing/flights/", "file_pattern": "*.json"},
    "destination": {"catalog": "lake", "database": "demo", "table": "flights"},
}


def test_the_stored_form_reads_back_as_the_same_definition() -> None:
    """A run's frozen copy is the definition, with the words of the API."""
    definition = Definition.model_validate(VALID)
    stored = definition.model_dump(mode="json", by_alias=True)
    assert "schema" in stored["format"]
    assert definition == Definition.model_validate(stored)


@pytest.mark.parametrize(
    ("path", "bucket", "prefix"),
    [
        ("s3://landing", "landing", ""),
        ("s3://landing/", "landing", ""),
        ("s3://landing/data", "landing", "data/"),
        ("s3://landing/data/", "landing", "data/"),
        ("s3a://landing/a/b c/", "landing", "a/b c/"),
        ("s3://landing/a?b#c/", "landing", "a?b#c/"),
        ("s3://landing//double/", "landing", "/double/"),
    ],
)
def test_a_path_is_a_bucket_and_a_folder(path: str, bucket: str, prefix: str) -> None:
    """Characters that mean something in web addresses mean nothing in keys."""
    source = Source(path=path)
    assert (bucket, prefix) == (source.bucket, source.prefix)


@pytest.mark.parametrize(
    "path",
    [
        "", "landing/data", "http://landing/data", "s3:/landing/", "s3://", "s3:///data", "s3://Landing/", "s3://a/",
        "s3://lan\tding/", "s3://landing\n", "s3://landing?x/", "s3://[landing/", "gs://landing/",
    ],
)  # fmt: skip
def test_a_path_that_names_no_bucket_is_refused_with_the_shape_it_should_have(path: str) -> None:
    """The message shows what to write."""
    with pytest.raises(ValidationError, match="s3://bucket/prefix/"):
        Source(path=path)


def test_credentials_inside_a_path_are_refused_without_repeating_them() -> None:
    """Error texts end up in logs and answers."""
    with pytest.raises(ValidationError) as caught:
        Source(path="s3://AKIA:topsecret@landing/data/")
    assert "source.credentials" in caught.value.errors()[0]["msg"]
    assert "topsecret" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("url", ["localhost:9000", "ftp://x", "http://user:topsecret@host", "http://a b", "https://"])
def test_an_endpoint_that_is_no_web_address_is_refused_without_repeating_it(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(ValidationError) as caught:
        Credentials(aws_access_key_id="a", aws_secret_access_key="b", endpoint_url=url)
    assert "http://host:port" in caught.value.errors()[0]["msg"]
    assert "topsecret" not in caught.value.errors()[0]["msg"]


def test_a_secret_does_not_show_when_credentials_are_printed() -> None:
    """Somebody will print them."""
    assert "topsecret" not in repr(Credentials(aws_access_key_id="a", aws_secret_access_key="topsecret"))


@given(st.text(max_size=20))
def test_what_is_accepted_as_a_table_name_is_safe_in_sql(name: str) -> None:
    """Whatever passes needs no quoting: letters, digits, underscores, no digit in front, all of it ASCII."""
    try:
        destination = Destination(catalog="c", database="d", table=name)
    except ValidationError:
        return
    assert destination.table.isidentifier()
    assert destination.table.isascii()


@pytest.mark.parametrize("name", ["t\n", "", "1t", "a-b", "a.b", "`t`", "t; DROP TABLE x", "ünï", "a" * 129])
def test_a_bad_table_name_is_refused(name: str) -> None:
    """A trailing newline too: a pattern that ends in $ would let it pass."""
    with pytest.raises(ValidationError, match="letters, digits and underscores"):
        Destination(catalog="c", database="d", table=name)


def test_another_write_mode_is_refused_and_the_right_one_named() -> None:
    """The remedy is in the message."""
    with pytest.raises(ValidationError, match="use 'append'"):
        Destination(catalog="c", database="d", table="t", write_mode="overwrite")


@pytest.mark.parametrize("where", ["name", "cluster_id"])
def test_a_nul_character_is_refused(where: str) -> None:
    """Postgres could not store it."""
    with pytest.raises(ValidationError, match="NUL"):
        Definition.model_validate({**VALID, where: "a\x00b"})


def test_an_unknown_field_is_named() -> None:
    """A typing mistake must not be ignored silently."""
    with pytest.raises(ValidationError) as caught:
        Definition.model_validate({**VALID, "shedule": {}})
    assert ("shedule",) == caught.value.errors()[0]["loc"]


def test_metadata_columns_are_off_until_they_are_named() -> None:
    """A table gets the data's columns only, unless somebody asks for more."""
    assert () == Definition.model_validate(VALID).destination.metadata_columns
    asked = VALID["destination"] | {"metadata_columns": ["_file_path", "_loaded_at"]}
    assert ("_file_path", "_loaded_at") == Destination.model_validate(asked).metadata_columns


@pytest.mark.parametrize("names", [["_file"], ["_run_id", "_run_id"], ["_FILE_PATH"]])
def test_metadata_columns_are_known_names_each_once(names: list[str]) -> None:
    """A misspelt one would be missed only when it is needed."""
    with pytest.raises(ValidationError, match="metadata_columns"):
        Destination.model_validate(VALID["destination"] | {"metadata_columns": names})


@pytest.mark.parametrize("names", [[""], ["a/b"], ["year=2025"], ["year", "Year"]])
def test_partition_columns_are_names_of_folders_each_once(names: list[str]) -> None:
    """What stands before the =, and nothing else."""
    with pytest.raises(ValidationError, match=r"folder's name|twice"):
        Source(path="s3://b/in/", partition_columns=tuple(names))
