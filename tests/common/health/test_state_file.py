"""The health file, read by the script of the image with the system's sh."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from common.errors import LedgerUnavailable, Unhealthy
from common.health.state_file import MAX_CHARS, HealthFile
from tests.support.health_script import ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def unhealthy() -> str:
    raise Unhealthy("the worker http@host has started no task for 61 s although tasks are queued; restart it")


def test_script_says_what_the_process_recorded(tmp_path: Path) -> None:
    path = tmp_path / "courier.health"
    file = HealthFile(path)
    assert ask(path) == (1, f"no {path}: the process is still starting, or it cannot write the file\n")
    file.record(lambda: "the worker http@host last reported 0 s ago")
    assert ask(path) == (0, "the worker http@host last reported 0 s ago\n")
    file.record(unhealthy)
    assert ask(path) == (
        1,
        "the worker http@host has started no task for 61 s although tasks are queued; restart it\n",
    )
    file.unhealthy(LedgerUnavailable("Redis is unavailable: connection refused"))
    assert ask(path) == (1, "Redis is unavailable: connection refused\n")


@pytest.mark.parametrize(("age_s", "status"), [(25, 0), (33, 1)])
def test_hung_process_is_unhealthy_after_30_seconds(tmp_path: Path, age_s: float, status: int) -> None:
    path = tmp_path / "courier.health"
    HealthFile(path, clock=lambda: time.time() - age_s).record(lambda: "fine")
    found, text = ask(path)
    assert found == status
    assert ("made no progress for" in text) == bool(status)


def test_clock_that_is_set_back_does_not_make_it_unhealthy(tmp_path: Path) -> None:
    path = tmp_path / "courier.health"
    HealthFile(path, clock=lambda: time.time() + 3600).record(lambda: "fine")
    assert ask(path) == (0, "fine\n")


@pytest.mark.parametrize(
    "content", ["", "\n", "healthy\n", "x healthy fine\n", "$(id) healthy fine\n", "0x7fffffff healthy\n"]
)
def test_damaged_file_is_unhealthy(tmp_path: Path, content: str) -> None:
    path = tmp_path / "courier.health"
    path.write_text(content)
    assert ask(path)[0] == 1


@pytest.mark.parametrize("text", ["a\n1 healthy b", "\x1b[2J", "`id` $(id) %s \\n", "x" * 10_000])
def test_text_from_redis_stays_one_short_line_and_is_not_interpreted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "courier.health"
    HealthFile(path).unhealthy(LedgerUnavailable(text))
    status, printed = ask(path)
    assert status == 1
    assert printed.count("\n") == 1
    assert "\x1b" not in printed
    assert len(printed) <= MAX_CHARS + 1
    assert "uid=" not in printed


def test_file_of_a_former_process_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "courier.health"
    HealthFile(path).record(lambda: "fine")
    HealthFile(path)
    assert not path.exists()


def test_it_is_never_half_written(tmp_path: Path) -> None:
    path = tmp_path / "courier.health"
    file = HealthFile(path)
    file.record(lambda: "first")
    with path.open() as opened:
        file.record(lambda: "second")
        assert opened.read().endswith("first\n")
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_another_user_put_at_the_temporary_name_is_replaced(tmp_path: Path) -> None:
    path, other = tmp_path / "courier.health", tmp_path / "other"
    other.write_text("mine")
    file = HealthFile(path)
    fresh = tmp_path / ".courier.health"
    puts: list[Callable[[], None]] = [
        lambda: os.mkfifo(fresh),
        lambda: fresh.symlink_to(other),
        lambda: fresh.hardlink_to(other),
    ]
    for put in puts:
        put()
        file.record(lambda: "fine")
        assert ask(path) == (0, "fine\n")
    assert other.read_text() == "mine"


def test_unwritable_file_is_logged_once_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = HealthFile(tmp_path / "missing" / "courier.health")
    for _ in range(3):
        file.record(lambda: "fine")
    (record,) = caplog.records
    assert "health.path" in record.getMessage()
    assert "cannot be written: No such file or directory" in record.getMessage()


def test_without_a_path_nothing_is_checked() -> None:
    file = HealthFile(None)
    file.record(lambda: pytest.fail("checked"))
    file.unhealthy(LedgerUnavailable("x"))
    file.keep(lambda: pytest.fail("checked"))
