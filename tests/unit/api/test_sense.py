"""What is refused before it ever runs, and what is only warned of."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from libs.common.contracts.definition import Definition, Source
from services.api.ingestions.changes import merge
from services.api.ingestions.schemas import EXAMPLE, IngestionIn
from services.api.ingestions.sense import Neighbour, warnings

KEYS = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "topsecret"}

CRON = {"frequency": "custom", "cron_expression": "*/15 6-20 * * MON-FRI"}


def sent(change: dict[str, Any]) -> IngestionIn:
    return IngestionIn.model_validate(merge(EXAMPLE, change))


@pytest.mark.parametrize(
    ("change", "field", "remedy"),
    [
        ({"name": "  "}, "name", "what people should call"),
        ({"source": {"path": "s3://landing//flights/"}}, "source.path", "empty folder name"),
        ({"source": {"path": "s3://landing/a/../b/"}}, "source.path", "folder named '.' or '..'"),
        ({"source": {"path": "s3://landing/2025/*.json"}}, "source.path", "source.file_pattern"),
        ({"source": {"path": "s3://land..ing/"}}, "source.path", "two dots"),
        (
            {"source": {"partition_columns": ["_File_Path"]}, "destination": {"metadata_columns": ["_file_path"]}},
            "partition_columns",
            "leave it out",
        ),
        (
            {"source": {"path": "s3://landing/a/Year=2025/", "partition_columns": ["year"]}},
            "partition_columns",
            "name a path above",
        ),
        (
            {"source": {"partition_columns": ["day"]}, "format": {"schema": {"hints": {"day": "array<date>"}}}},
            "'day' is array<date>",
            "a text, a number",
        ),
        ({"source": {"file_pattern": "/*.json"}}, "source.file_pattern", "**/*.json"),
        ({"source": {"file_pattern": "flights/"}}, "source.file_pattern", "ends with a slash"),
        (
            {"source": {"file_pattern": "s3://landing/flights/*.json"}},
            "source.file_pattern",
            "what follows source.path",
        ),
        ({"source": {"file_pattern": "./*.json"}}, "source.file_pattern", "*.json"),
        ({"source": {"file_pattern": "**/_*.json"}}, "source.file_pattern", "hidden files"),
        ({"source": {"file_pattern": "{_a,.b}*.json"}}, "source.file_pattern", "hidden files"),
        (
            {"format": {"type": "parquet", "options": {"compression": "gzip"}}},
            "options.compression",
            "leave it out",
        ),
        ({"format": {"type": "parquet", "options": {"multiline": True}}}, "options.multiline", "leave it out"),
        ({"format": {"type": "avro", "options": {"compression": "gzip"}}}, "options.compression", "leave it out"),
        ({"format": {"type": "parquet", "options": {"header": True}}}, "options.header", "leave it out"),
        ({"source": {"credentials": {"endpoint_url": "http://minio:9000?a=b"}}}, "endpoint_url", "http://host:9000"),
        ({"source": {"credentials": {"endpoint_url": "http://minio:99999"}}}, "endpoint_url", "http://host:9000"),
        ({"source": {"credentials": {"endpoint_url": "http://:9000"}}}, "endpoint_url", "http://host:9000"),
        ({"format": {"options": {"header": False}}}, "format.options.header", "leave it out"),
        ({"format": {"options": {"delimiter": ";"}}}, "format.options.delimiter", "leave it out"),
        ({"format": {"options": {"quote": "'"}}}, "format.options.quote", "leave it out"),
        ({"format": {"options": {"compression": "lzo"}}}, "format.options.compression", "gzip"),
        ({"format": {"options": {"header": True}}}, "format.options.header", "leave it out"),
        ({"format": {"options": {"encoding": "utf-16"}}}, "format.options.encoding", "leave it out"),
        ({"format": {"type": "text", "options": {"multiline": True}}}, "format.options.multiline", "leave it out"),
        ({"format": {"type": "text", "options": {"null_value": "NA"}}}, "format.options.null_value", "leave it out"),
        (
            {"format": {"type": "csv", "options": {"delimiter": "||"}}},
            "format.options.delimiter",
            "one ASCII character",
        ),
        ({"format": {"type": "csv", "options": {"quote": "\u00ab"}}}, "format.options.quote", "or empty"),
        ({"format": {"type": "csv", "options": {"escape": ""}}}, "format.options.escape", "one ASCII character"),
        ({"format": {"type": "csv", "options": {"delimiter": '"'}}}, "format.options.delimiter", "another character"),
        ({"format": {"type": "csv", "options": {"encoding": "klingon"}}}, "format.options.encoding", "windows-1252"),
        ({"format": {"type": "csv", "options": {"encoding": "shift_jis"}}}, "format.options.encoding", "windows-1252"),
        ({"format": {"type": "csv", "options": {"encoding": "cp037"}}}, "format.options.encoding", "windows-1252"),
        (
            {"format": {"schema": {"inference": "manual", "schema_json": "id int", "hints": {"ID": "bigint"}}}},
            "'ID'",
            "leave one of them out",
        ),
        (
            {
                "format": {"schema": {"hints": {"_File_Path": "string"}}},
                "destination": {"metadata_columns": ["_file_path"]},
            },
            "'_file_path'",
            "name it otherwise",
        ),
        (
            {"format": {"schema": {"schema_evolution_mode": "rescue", "hints": {"_rescued_data.x": "string"}}}},
            "'_rescued_data'",
            "name it otherwise",
        ),
        (
            {
                "format": {"schema": {"rescued_data_column": "_run_id"}},
                "destination": {"metadata_columns": ["_run_id"]},
            },
            "format.schema.rescued_data_column",
            "name it otherwise",
        ),
        ({"destination": {"partitioning": {"columns": ["day"]}}}, "destination.partitioning.columns", "leave it out"),
        (
            {"destination": {"optimization": {"z_ordering_columns": ["id"]}}},
            "destination.optimization.z_ordering_columns",
            "leave it out",
        ),
        ({"schedule": {"time": "07:00"}}, "schedule.time", "schedule.frequency is null"),
        ({"schedule": {"timezone": "Mars/Olympus"}}, "schedule.timezone", "Europe/Berlin"),
        ({"schedule": {"timezone": "../../etc/passwd"}}, "schedule.timezone", "Europe/Berlin"),
        ({"schedule": {"timezone": "Europe"}}, "schedule.timezone", "Europe/Berlin"),
        ({"schedule": {"timezone": ""}}, "schedule.timezone", "Europe/Berlin"),
        ({"schedule": {"weekday": "monday"}}, "schedule.weekday", "not weekly"),
        ({"schedule": {"frequency": "hourly", "weekday": "monday"}}, "schedule.weekday", "is hourly"),
        ({"schedule": {"jitter_s": 5}}, "schedule.jitter_s", "schedule.frequency is null"),
        ({"schedule": {"frequency": "daily", "cron_expression": "0 0 * * *"}}, "cron_expression", "not custom"),
        ({"schedule": {"cron_expression": "0 0 * * *"}}, "schedule.cron_expression", "not custom"),
        ({"schedule": {"frequency": "custom"}}, "schedule.cron_expression is missing", "30 2 * * *"),
        ({"schedule": CRON | {"time": "02:30"}}, "schedule.time", "cron_expression says when"),
        ({"schedule": CRON | {"cron_expression": "61 * * * *"}}, "its minute cannot be read", "*/15"),
        ({"schedule": CRON | {"cron_expression": "0 24 * * *"}}, "its hour cannot be read", "6-20"),
        ({"schedule": CRON | {"cron_expression": "0 0 0 * *"}}, "its day of month cannot be read", "*/15"),
        ({"schedule": CRON | {"cron_expression": "0 0 * 13 *"}}, "its month cannot be read", "*/15"),
        ({"schedule": CRON | {"cron_expression": "0 0 * * FUN"}}, "its day of week cannot be read", "MON-FRI"),
        ({"schedule": CRON | {"cron_expression": "0 0 2 * * *"}}, "has six fields", "leave out the seconds"),
        ({"schedule": CRON | {"cron_expression": "@daily"}}, "has 1 fields", "day of week"),
        ({"schedule": CRON | {"cron_expression": "0 0 30 2 *"}}, "never comes", "no year has such a day"),
        ({"schedule": CRON | {"cron_expression": "0 0 */20 * 1L"}}, "never comes", "no year has such a day"),
        ({"schedule": {"backfill_interval": "1 day"}}, "schedule.backfill_interval", "schedule.trigger is time"),
        ({"schedule": {"backfill": {"enabled": True}}}, "schedule.backfill.enabled", "POST …/backfill"),
        ({"schedule": {"backfill": {"start_date": "2025-01-01"}}}, "schedule.backfill.start_date", "enabled is false"),
        ({"schedule": {"backfill": {"start_date": "soon"}}}, "schedule.backfill.start_date", "2025-01-31"),
        ({"source": {"allow_overwrites": "replace"}}, "source.allow_overwrites", "destination.metadata_columns"),
        (
            {"source": {"allow_overwrites": "replace"}, "destination": {"metadata_columns": ["_run_id"]}},
            "source.allow_overwrites",
            "_file_path",
        ),
        ({"quality": {"alert_recipients": ["a@b.c"]}}, "quality.alert_recipients", "alerts_enabled is false"),
        ({"quality": {"on_error": "abort", "bad_records_max": 0}}, "quality.bad_records_max", "on_error is abort"),
        (
            {"quality": {"on_error": "skip_file", "bad_records_share_max": 0.1}},
            "quality.bad_records_share_max",
            "on_error is skip_file",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, Any], field: str, remedy: str) -> None:
    """The message names the field, and what to write instead; no secret of the body is in it."""
    with pytest.raises(ValidationError) as caught:
        sent(change)
    [error] = caught.value.errors()
    assert field in error["msg"]
    assert remedy in error["msg"]
    assert "AKIA" not in error["msg"]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"source": {"allow_overwrites": "replace"}, "destination": {"metadata_columns": ["_file_path"]}},
        {"source": {"allow_overwrites": "append"}},
        {"source": {"path": "s3a://landing/a?b#c/_old/"}},
        {"source": {"path": "s3://landing"}},
        {"source": {"file_pattern": "{_a,b}*.json"}},
        {"source": {"file_pattern": "**/2025-??/[!_]*.json.gz"}},
        {"source": {"credentials": {"endpoint_url": "https://[::1]:9000/"}}},
        {"source": {"credentials": None}},
        {"format": {"options": {"compression": "GZIP"}}},
        {"schedule": {"timezone": "Europe/Berlin"}},
        {"schedule": CRON},
        {"schedule": CRON | {"cron_expression": "0 0 29 FEB sun#1"}},
        {"schedule": {"frequency": "weekly", "weekday": "friday", "time": "23:59", "timezone": "Asia/Kathmandu"}},
        {"schedule": {"frequency": "daily", "trigger": "event", "backfill_interval": "6 hours"}},
    ],
)
def test_what_can_be_meant_is_accepted(change: dict[str, Any]) -> None:
    """Odd as it may look."""
    assert sent(change).definition()


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Nobody wants to send a definition five times."""
    with pytest.raises(ValidationError) as caught:
        sent({"source": {"path": "s3://landing//x/", "file_pattern": "/a"}, "schedule": {"timezone": "nowhere"}})
    told = str(caught.value)
    assert all(field in told for field in ("source.path", "source.file_pattern", "schedule.timezone"))


def test_what_is_stored_is_not_judged_again() -> None:
    """An ingestion that has worked so far stays readable when a rule is added."""
    stored = IngestionIn.model_validate(EXAMPLE).definition().model_dump(mode="json", by_alias=True)
    stored["schedule"]["timezone"] = "Nowhere/Yet"
    assert Definition.model_validate(stored)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://elsewhere/", "a refresh of one takes the rows of the other"),
        ("s3://landing/flight/", "a refresh of one takes the rows of the other"),
        ("s3://landing/flights/2025/", "are in the table twice"),
        ("s3://landing", "are in the table twice"),
    ],
)
def test_a_table_with_two_writers_is_warned_of(path: str, said: str) -> None:
    """And more so if they read the same files."""
    mine = IngestionIn.model_validate(EXAMPLE).definition()
    [told] = warnings(mine, [Neighbour(UUID(int=7), "Other", Source(path=path))])
    assert said in told
    assert str(UUID(int=7)) in told
    assert [] == warnings(mine, [])
