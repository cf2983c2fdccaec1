"""Logs: a constant event name, and details as fields.

    _log = get_logger(__name__)
    _log.info("batch.committed", run_id=run_id, batch_id=batch_id, rows=rows, duration_ms=duration_ms)

``configure`` is called once, in ``__main__``. One JSON object per line on stderr, or colours on a terminal; times are
ISO 8601 in UTC. Libraries that log through the standard library come out the same way. Values under keys that
name a secret, and passwords inside URLs, never come out.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

REDACTED = "***"
_SECRET_KEY = re.compile(r"(?i)password|passwd|secret|credential|authorization|access_key|api_key|private_key")
_URL_PASSWORD = re.compile(r"(\w://[^\s/:@]*):[^\s/@]+@")
_DEPTH_MAX = 6

# What libraries may say. Their news of broken connections reaches us as errors, which we log ourselves.
_LIBRARY_LEVELS = {
    "aiokafka": logging.CRITICAL,
    "asyncio": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "alembic": logging.WARNING,
    "uvicorn": logging.WARNING,
    "uvicorn.access": logging.WARNING,
    "botocore": logging.WARNING,
    "aiobotocore": logging.WARNING,
    "boto3": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "py4j": logging.WARNING,
    "pyspark": logging.WARNING,
    "grpc": logging.WARNING,
    "urllib3": logging.WARNING,
}

Event = MutableMapping[str, Any]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for the module ``name``. Costs nothing until it is used."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def configure(
    level: str = "INFO", *, service: str | None = None, stream: TextIO | None = None, json: bool | None = None
) -> None:
    """Sends every log of the process to ``stream`` (stderr). May be called again.

    Args:
        level: DEBUG, INFO, WARNING or ERROR, for our own loggers; libraries have their own, never below this.
        service: becomes the field ``service`` of each line.
        json: one JSON object per line. Default: yes, unless ``stream`` is a terminal.
    """
    stream = stream or sys.stderr
    as_json = json if json is not None else not stream.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if service is not None:
        shared.insert(0, _with_service(service))
    if as_json:
        finish: list[structlog.typing.Processor] = [
            structlog.processors.format_exc_info,
            redact,
            _in_reading_order,
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ]
    else:
        finish = [redact, structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _LIBRARY_LEVELS.items():
        logger = logging.getLogger(name)
        logger.setLevel(max(least, root.level))
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def redact(_logger: object, _method: str, event: Event) -> Event:
    """A structlog processor: hides what must not be read, at any depth."""
    return cast("Event", _redacted(event, 0))


def redact_text(text: str) -> str:
    """``text`` without the passwords of the URLs in it."""
    return _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text) if "://" in text else text


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if depth > _DEPTH_MAX:
        return value
    if isinstance(value, MutableMapping):
        return {
            key: REDACTED if _SECRET_KEY.search(str(key)) and item else _redacted(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(item, depth + 1) for item in value]
    return value


def _in_reading_order(_logger: object, _method: str, event: Event) -> Event:
    """When, how bad, what; then the details, as they came."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event", "service") if key in event}
    return {**first, **event}


def _with_service(service: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: Event) -> Event:
        event.setdefault("service", service)
        return event

    return add
