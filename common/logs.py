"""One way to log for every process: JSON lines for machines, short lines for a person at a terminal.

Fields travel as `extra={"integration": …}` and stay fields in JSON, so that nobody has to parse messages.
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
"""The attributes that every record has; all others are extra fields."""

_LEAKS_URLS: Final = ("urllib3", "requests")
"""Libraries whose records below `error` quote whole request URLs: a Slack hook's URL is its secret."""

_NOISY_TRACEBACKS: Final = ("kombu.transport.redis",)
"""What adds a traceback, which quotes commands, to a message that says it all: Redis refused, and is tried again."""

_UNTRUE: Final = {"kombu.connection": "Secure redis scheme specified (rediss) with no ssl"}
"""What is logged and not true, by the logger and how it begins. Celery masks the broker's URL for `inspect conf` by way
of a connection that it never opens and gives no TLS options to; those that are opened verify the certificate."""


class LogLevel(StrEnum):
    """From which severity on records are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How records are written; `auto` is text at a terminal and JSON everywhere else."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class Condition:
    """A condition that is logged when it begins or changes, and once when it is over.

    A check that runs every second sets or clears it each time. Not safe for several threads at once.
    """

    def __init__(self, log: logging.Logger, level: int = logging.WARNING) -> None:
        """`level` is that of the message that it begins with; its end is logged as information."""
        self._log, self._level, self.text = log, level, ""

    def set(self, text: str, *, extra: Mapping[str, object] | None = None) -> None:
        """Log `text` unless it was set last."""
        if text != self.text:
            self._log.log(self._level, "%s", text, extra=extra)
        self.text = text

    def clear(self, text: str, *, extra: Mapping[str, object] | None = None) -> None:
        """Log `text` if the condition was set."""
        if self.text:
            self._log.info("%s", text, extra=extra)
        self.text = ""


def configure_logging(level: LogLevel, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Send every record from `level` on to `stream` (default: stderr), replacing whatever was configured before."""
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
    for name in _UNTRUE:
        logging.getLogger(name).addFilter(_is_wanted)


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


def _is_wanted(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_UNTRUE[record.name])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, the extra fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of ASCII, which no message can break or forge."""
        fields: dict[str, Field] = {
            "time": _timestamp(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        trouble = _exception_text(self, record)
        if trouble:
            fields["exception"] = trouble
        return printable_json(json.dumps(_extra(record) | fields))


class TextFormatter(logging.Formatter):
    """A short line for people: local time, level, logger, message and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and below it the traceback if there is one."""
        time = _timestamp(record).astimezone().strftime("%H:%M:%S")
        extra = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        line = f"{time} {record.levelname:<7} {record.name}: {record.getMessage()}{extra}"
        return "\n".join(filter(None, (printable(line), printable(_exception_text(self, record), keep="\n"))))


def _timestamp(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _extra(record: logging.LogRecord) -> dict[str, Field]:
    return {name: _json_value(value) for name, value in record.__dict__.items() if name not in _STANDARD}


def _json_value(value: Any) -> Field:
    """Return what JSON can say; anything else in its own words, which for a Secret is the mask."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, Field) else str(value)


def _exception_text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    traceback = formatter.formatException(record.exc_info) if record.exc_info else record.exc_text
    stack = formatter.formatStack(record.stack_info) if record.stack_info else None
    return "\n".join(filter(None, (traceback, stack)))
