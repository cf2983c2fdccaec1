"""Having a bucket tell of its objects: what is asked for, and that nothing of others gets lost."""

import json
import re
import subprocess
from typing import Any

import pytest
from typer.testing import CliRunner

from client.cli import app
from client.notifications.aws import AwsPlan, script, terraform
from client.notifications.configuration import entry, is_kept, merged
from client.notifications.place import Place, ending, place_of
from libs.common.contracts.definition import Source

TARGET = "arn:minio:sqs:us-east-1:AUTOLOADER:kafka"
PLACE = Place("landing", "data/", ".json")
OURS = entry(PLACE, TARGET)
THEIRS = {"Id": "theirs", "QueueArn": "arn:minio:sqs::X:nats", "Events": ["s3:ObjectRemoved:*"]}
LAMBDAS = {
    "LambdaFunctionConfigurations": [{"Id": "l", "Events": ["s3:ObjectCreated:*"]}],
    "EventBridgeConfiguration": {},
}


@pytest.mark.parametrize(
    ("pattern", "end"),
    [
        ("*", ""),
        ("*.json", ".json"),
        ("*.json.gz", ".json.gz"),
        ("*.{json,json.gz}", ""),
        ("{a,b}*.json", ".json"),
        ("part-?.csv", ".csv"),
        ("a.json", "a.json"),
        ("**/b/*", ""),
        (r"*\*.json", ".json"),
        ("*[0-9]", ""),
    ],
)
def test_the_ending_of_a_pattern(pattern: str, end: str) -> None:
    assert end == ending(pattern)


def test_a_place_is_where_a_source_looks() -> None:
    source = Source(path="s3://landing/data", file_pattern="*.json")
    assert PLACE == place_of(source)
    assert Place("landing", "data/", "") == place_of(source, "")


def test_an_entry_asks_for_what_is_wanted_and_no_more() -> None:
    rules = [{"Name": "prefix", "Value": "data/"}, {"Name": "suffix", "Value": ".json"}]
    assert rules == OURS["Filter"]["Key"]["FilterRules"]
    assert "Filter" not in entry(Place("landing", "", ""), TARGET)


def test_what_others_configured_stays() -> None:
    current = {"QueueConfigurations": [THEIRS], **LAMBDAS}
    configuration, change = merged(current, PLACE, TARGET)
    assert ({"QueueConfigurations": [THEIRS, OURS], **LAMBDAS}, "added") == (configuration, change)
    assert (configuration, "there") == merged(configuration, PLACE, TARGET)


def test_another_suffix_takes_the_place_of_our_entry() -> None:
    other = Place("landing", "data/", ".csv")
    configuration, change = merged({"QueueConfigurations": [OURS, THEIRS]}, other, TARGET)
    assert ([THEIRS, entry(other, TARGET)], "changed") == (configuration["QueueConfigurations"], change)


def test_so_does_a_wider_one() -> None:
    wide = entry(Place("landing", "data/", ""), TARGET)
    configuration, change = merged({"QueueConfigurations": [wide]}, PLACE, TARGET)
    assert ([OURS], "changed") == (configuration["QueueConfigurations"], change)


@pytest.mark.parametrize(
    ("prefix", "suffix", "events", "change"),
    [
        ("", "", ["s3:ObjectCreated:*"], "there"),
        ("data/", ".json", ["s3:ObjectRemoved:*", "s3:ObjectCreated:*"], "there"),
        ("data/x/", "", ["s3:ObjectCreated:*"], "added"),
        ("", ".csv", ["s3:ObjectCreated:*"], "added"),
        ("", "", ["s3:ObjectCreated:Put"], "added"),
    ],
)
def test_an_entry_of_others_may_be_enough(prefix: str, suffix: str, events: list[str], change: str) -> None:
    """If it tells our target of all that we want."""
    theirs = {**entry(Place("landing", prefix, suffix), TARGET), "Id": "theirs", "Events": events}
    assert change == merged({"QueueConfigurations": [theirs]}, PLACE, TARGET)[1]


def test_rules_are_known_however_a_store_writes_them() -> None:
    rules = [{"Name": "Prefix", "Value": "data/"}, {"Name": "Suffix", "Value": ".json"}]
    assert (
        "there"
        == merged({"QueueConfigurations": [{**OURS, "Filter": {"Key": {"FilterRules": rules}}}]}, PLACE, TARGET)[1]
    )


def test_it_is_seen_when_somebody_writes_at_the_same_time() -> None:
    before = {"QueueConfigurations": [THEIRS], **LAMBDAS}
    after, _ = merged(before, PLACE, TARGET)
    assert is_kept(before, after, PLACE)
    assert is_kept(before, {**after, "TopicConfigurations": []}, PLACE)
    assert not is_kept(before, {**after, "QueueConfigurations": [OURS]}, PLACE)
    assert not is_kept(before, {"QueueConfigurations": after["QueueConfigurations"]}, PLACE)


ODD = AwsPlan(Place("landing", "it's ${x}/é=1/", '".json'), "autoloader-landing", "eu-central-1")


def test_the_script_asks_for_the_place_in_the_words_of_amazon() -> None:
    """Special characters of a filter are written as in a web address."""
    found = re.search(r"^ENTRY='(.*)'$", script(ODD), re.MULTILINE)
    assert found is not None
    asked: dict[str, Any] = json.loads(found[1])
    values = [rule["Value"] for rule in asked["Filter"]["Key"]["FilterRules"]]
    assert ["it%27s+%24%7Bx%7D/%C3%A9%3D1/", "%22.json"] == values
    assert "Filter" not in script(AwsPlan(Place("landing", "", ""), "q", "us-east-1"))


def test_the_script_can_be_read_by_bash() -> None:
    done = subprocess.run(["bash", "-n"], input=script(ODD), text=True, capture_output=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("form", [terraform, script])
def test_only_this_bucket_of_this_account_may_write_to_the_queue(form: Any) -> None:
    text = form(ODD)
    assert 1 == text.count("sqs:SendMessage")
    assert {"aws:SourceArn", "aws:SourceAccount"} == set(re.findall(r"aws:Source\w+", text))
    assert "*" not in text.replace("ObjectCreated:*", "")


def test_terraform_has_the_filters_that_there_are() -> None:
    assert 'filter_prefix = "it%27s+%24%7Bx%7D/%C3%A9%3D1/"' in terraform(ODD)
    assert "filter_" not in terraform(AwsPlan(Place("landing", "", ""), "2q", "us-east-1"))
    assert 'resource "aws_sqs_queue" "q_2q"' in terraform(AwsPlan(Place("landing", "", ""), "2q", "us-east-1"))


def test_what_is_no_place_is_refused() -> None:
    done = CliRunner().invoke(app, ["notifications", "setup", "s4://landing/", "--as", "cli"])
    assert 2 == done.exit_code
    assert "must start with s3://" in done.stderr


def test_a_place_can_be_printed_for_amazon() -> None:
    asked = ["notifications", "setup", "s3://landing/data/", "--as", "terraform", "--queue", "q1", "--suffix", ".json"]
    done = CliRunner().invoke(app, asked)
    assert (0, terraform(AwsPlan(PLACE, "q1", "us-east-1"))) == (done.exit_code, done.stdout)
