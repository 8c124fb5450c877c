"""Logging of all processes: JSON lines for machines, short text lines for a terminal.

Pass details as `extra={"integration": …}`: they become fields in JSON, so that nobody has to parse messages.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from common.printable import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

Field = str | int | float | bool | None

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""The attributes of every record; all other attributes are extra fields."""

_LEAKS_URLS: Final = ("urllib3", "requests")
"""Libraries whose records below `error` quote whole request URLs. The URL of a Slack hook is a secret."""

_NOISY_TRACEBACKS: Final = ("kombu.transport.redis", "celery.worker.pidbox")
"""Loggers that add a traceback, which quotes commands, to a message that needs none: Redis failed, and kombu retries,
or Flower asks the worker again."""

_FALSE_WARNINGS: Final = {"kombu.connection": "Secure redis scheme specified (rediss) with no ssl"}
"""Messages that are not true: logger and first words. To mask the broker's URL for `inspect conf`, Celery creates a
connection without TLS options that it never opens; all connections that it opens verify the certificate."""


class LogLevel(StrEnum):
    """The minimum severity of records that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """The format of the log; `auto` is text for a terminal and JSON otherwise."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class DeliveryLog(StrEnum):
    """Which attempts to deliver get a log line of at least level info."""

    ALL = "all"
    FAILED = "failed"


class Condition:
    """A condition that is logged when it begins or changes, and once when it is over.

    A check that runs every second calls `set` or `clear` each time. Not thread-safe.
    """

    def __init__(self, log: logging.Logger, level: int = logging.WARNING) -> None:
        """`level` is the level of the message at the beginning; the end is logged at level info."""
        self._log, self._level, self.text = log, level, ""

    def set(self, text: str, *, extra: Mapping[str, object] | None = None) -> None:
        """Log `text` unless the last call set the same text."""
        if text != self.text:
            self._log.log(self._level, "%s", text, extra=extra)
        self.text = text

    def clear(self, text: str, *, extra: Mapping[str, object] | None = None) -> None:
        """Log `text` if the condition was set."""
        if self.text:
            self._log.info("%s", text, extra=extra)
        self.text = ""


def configure_logging(level: LogLevel, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Write records of at least `level` to `stream` (default: stderr). Replaces any earlier configuration."""
    stream = stream or sys.stderr
    as_text = stream.isatty() if log_format is LogFormat.AUTO else log_format is LogFormat.TEXT
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    for name in _LEAKS_URLS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in _NOISY_TRACEBACKS:
        logging.getLogger(name).addFilter(_without_traceback)
    for name in _FALSE_WARNINGS:
        logging.getLogger(name).addFilter(_is_true)


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


def _is_true(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_FALSE_WARNINGS[record.name])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, the extra fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of ASCII. No message can add a line or forge a field."""
        fields: dict[str, Field] = {
            "time": _timestamp(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if exception := _exception_text(self, record):
            fields["exception"] = exception
        return printable_json(json.dumps(_extra(record) | fields))


class TextFormatter(logging.Formatter):
    """A short text line: local time, level, logger, message and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, followed by the traceback if the record has one."""
        time = _timestamp(record).astimezone().strftime("%H:%M:%S")
        extra = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        line = f"{time} {record.levelname:<7} {record.name}: {record.getMessage()}{extra}"
        return "\n".join(filter(None, (printable(line), printable(_exception_text(self, record), keep="\n"))))


def _timestamp(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _extra(record: logging.LogRecord) -> dict[str, Field]:
    return {name: _json_value(value) for name, value in record.__dict__.items() if name not in _STANDARD}


def _json_value(value: Any) -> Field:
    """Return a value that JSON can hold. Any other value becomes its `str`, which for a Secret is the mask."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, Field) else str(value)


def _exception_text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    traceback = formatter.formatException(record.exc_info) if record.exc_info else record.exc_text
    stack = formatter.formatStack(record.stack_info) if record.stack_info else None
    return "\n".join(filter(None, (traceback, stack)))
