"""Logs: one JSON object per line, libraries included, secrets left out."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from libs.common import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    logs.configure("INFO", service="scanner", stream=out)
    yield out
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_a_json_line_with_its_details_as_fields(stream: io.StringIO) -> None:
    """The name is constant; time is ISO 8601 in UTC."""
    logs.get_logger("libs.x").info("batch.committed", batch_id=7, rows=3)
    [line] = lines(stream)
    assert ("batch.committed", 7, 3, "info", "scanner", "libs.x") == tuple(
        line[key] for key in ("event", "batch_id", "rows", "level", "service", "logger")
    )
    assert line["timestamp"].endswith("Z")


def test_a_line_begins_with_what_a_reader_looks_for(stream: io.StringIO) -> None:
    """When, how bad, what."""
    logs.get_logger("x").info("batch.committed", a=1)
    assert ["timestamp", "level", "event"] == list(lines(stream)[0])[:3]


def test_libraries_come_out_the_same_way_at_a_sane_level(stream: io.StringIO) -> None:
    """The standard library's loggers are routed through; chatter is not."""
    logging.getLogger("botocore.hooks").info("chatter")
    logging.getLogger("uvicorn.error").warning("port %s is taken", 8000)
    assert [("port 8000 is taken", "warning", "uvicorn.error")] == [
        (line["event"], line["level"], line["logger"]) for line in lines(stream)
    ]


def test_details_below_the_level_are_left_out(stream: io.StringIO) -> None:
    """INFO is the default."""
    logs.get_logger("x").debug("message.handled")
    assert "" == stream.getvalue()


def test_secrets_never_come_out(stream: io.StringIO) -> None:
    """Neither under a telling key, at any depth, nor inside a URL, nor in a traceback."""
    log = logs.get_logger("x")
    log.info("a", password="hunter2", source={"credentials": {"key": "hunter2"}, "items": [{"aws_secret": "hunter2"}]})
    log.info("b", url="postgresql://me:hunter2@db/x", secret_access_key="hunter2")
    try:
        raise ValueError("cannot reach postgresql://me:hunter2@db/x")
    except ValueError:
        log.exception("c")
    logging.getLogger("lib").warning("cannot reach https://me:hunter2@host/")
    assert "hunter2" not in stream.getvalue()
    assert 4 == len(lines(stream))
    assert "postgresql://me:***@db/x" == lines(stream)[1]["url"]


def test_names_that_only_sound_secret_stay_readable(stream: io.StringIO) -> None:
    """A fencing token is an integer that a reader needs."""
    logs.get_logger("x").info("batch.claimed", token=3, password=None)
    assert (3, None) == (lines(stream)[0]["token"], lines(stream)[0]["password"])


def test_an_exception_is_one_line(stream: io.StringIO) -> None:
    """The traceback is a field."""
    try:
        raise ValueError("boom")
    except ValueError:
        logs.get_logger("x").exception("message.bug")
    [line] = lines(stream)
    assert "ValueError: boom" in line["exception"]
