from __future__ import annotations

import io
import json
import logging
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from celery.app.utils import filter_hidden_settings
from hypothesis import given
from hypothesis import strategies as st

from common.logs import Condition, JsonFormatter, LogFormat, LogLevel, TextFormatter, configure_logging
from common.secret import MASK, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in ("urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("courier.test").makeRecord("courier.test", 20, "f", 1, message, args, None, None, extra)
    made.created = 1_769_846_400.25
    return made


def test_json_has_time_level_logger_message_and_fields() -> None:
    assert json.loads(JsonFormatter().format(record("sent %d", 3, integration="slack", after_s=1.5))) == {
        "time": "2026-01-31T08:00:00.250Z",
        "level": "info",
        "logger": "courier.test",
        "message": "sent 3",
        "integration": "slack",
        "after_s": 1.5,
    }


def test_json_falls_back_to_str_for_other_types() -> None:
    fields = json.loads(JsonFormatter().format(record("m", key=Secret("hunter2"), rate=float("nan"), many=[1])))
    assert (fields["key"], fields["rate"], fields["many"]) == (MASK, "nan", "[1]")


def test_extra_fields_cannot_replace_standard_fields() -> None:
    assert json.loads(JsonFormatter().format(record("m", level="forged")))["level"] == "info"


def test_an_exception_is_one_field_of_one_line() -> None:
    stream = io.StringIO()
    configure_logging(LogLevel.INFO, LogFormat.AUTO, stream)
    logging.getLogger("courier").error("failed", exc_info=RuntimeError("gone"))
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["exception"].endswith("RuntimeError: gone")


def test_a_terminal_gets_text() -> None:
    stream = Terminal()
    configure_logging(LogLevel.INFO, LogFormat.AUTO, stream)
    logging.getLogger("courier").warning("slow", extra={"integration": "slack"})
    assert stream.getvalue().endswith(" WARNING courier: slow  integration=slack\n")


@pytest.mark.parametrize(("wanted", "is_json"), [(LogFormat.JSON, True), (LogFormat.TEXT, False)])
def test_an_explicit_format_wins(wanted: LogFormat, is_json: bool) -> None:
    stream = Terminal()
    configure_logging(LogLevel.INFO, wanted, stream)
    logging.getLogger("courier").info("hello")
    assert stream.getvalue().startswith("{") == is_json


def test_configuring_twice_writes_once_and_keeps_the_level() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging(LogLevel.DEBUG, LogFormat.JSON, first)
    configure_logging(LogLevel.WARNING, LogFormat.JSON, second)
    logging.getLogger("courier").info("quiet")
    logging.getLogger("courier").warning("loud")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_warnings_are_logged() -> None:
    stream = io.StringIO()
    configure_logging(LogLevel.INFO, LogFormat.JSON, stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
    assert "old" in json.loads(stream.getvalue())["message"]


@pytest.mark.parametrize("logger", ["kombu.transport.redis", "celery.worker.pidbox"])
def test_redis_errors_of_libraries_that_try_again_are_logged_without_traceback(logger: str) -> None:
    stream = io.StringIO()
    configure_logging(LogLevel.INFO, LogFormat.JSON, stream)
    for name in (logger, "courier.test"):
        logging.getLogger(name).warning("trying again", exc_info=ConnectionRefusedError("Command # 1 (HSET x)"))
    ours, other = map(json.loads, stream.getvalue().splitlines())
    assert ours["message"] == "trying again"
    assert "exception" not in ours
    assert "Command # 1" in other["exception"]


def test_masking_a_url_logs_no_false_tls_warning() -> None:
    stream = io.StringIO()
    configure_logging(LogLevel.DEBUG, LogFormat.JSON, stream)
    masked = filter_hidden_settings({"broker_url": "rediss://:s3cret@redis.example:6379/0"})
    assert "s3cret" not in masked["broker_url"]
    assert stream.getvalue() == ""
    logging.getLogger("kombu.connection").warning("another one")
    assert "another one" in stream.getvalue()


def test_libraries_that_quote_urls_do_not_log_below_error() -> None:
    stream = io.StringIO()
    configure_logging(LogLevel.DEBUG, LogFormat.JSON, stream)
    logging.getLogger("urllib3.connectionpool").debug("POST /services/T0/SECRET")
    logging.getLogger("urllib3.connectionpool").warning("Failed to parse headers (url=/services/T0/SECRET)")
    assert stream.getvalue() == ""


@given(st.text(st.characters()), st.text(st.characters()))
def test_no_text_breaks_or_forges_a_log_line(message: str, field: str) -> None:
    made = record("%s", message, integration=field)
    in_json = JsonFormatter().format(made)
    assert in_json.isascii()
    assert json.loads(in_json)["message"] == message
    in_text = TextFormatter().format(made)
    assert in_text.splitlines() == [in_text]


def test_a_condition_is_logged_when_it_begins_changes_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    condition = Condition(logging.getLogger("courier.test"))
    condition.clear("recovered")
    for text in ("disk full", "disk full", "disk gone"):
        condition.set(text, extra={"path": "/x"})
    for _ in range(2):
        condition.clear("recovered")
    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("WARNING", "disk full"),
        ("WARNING", "disk gone"),
        ("INFO", "recovered"),
    ]
