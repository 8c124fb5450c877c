from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from rich.console import Console

from common.ledger import Ledger, Status
from ops.admin.hold_reason import hold_reason
from ops.admin.recent_history import NoisiestRule, RecentHistory
from ops.admin.top import COLUMNS, Rate, Rates, TopLine, View, cells
from ops.cli.main import courier

TITLES = [column.title for column in COLUMNS]

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer


@pytest.fixture(autouse=True)
def _address(server: EmbeddedServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    client.hset("courier:integrations", mapping={"slack": "sealed", "version": 1})


def status(**changes: object) -> Status:
    fields: dict[str, object] = {
        "waiting": 3,
        "released": 2,
        "dead": 0,
        "oldest_age_s": 75.0,
        "totals": {},
        "cursors": {},
        "last_error": "server: \x1b500",
        "last_error_ms": 8_000,
    }
    return Status(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def test_rates_are_the_difference_of_two_samples() -> None:
    rates = Rates()
    assert rates.of("slack") == Rate(0, 0, 0)
    rates.update({"slack": status(totals={"committed": 100, "delivered": 50, "skipped": 1})}, 1_000)
    assert rates.of("slack") == Rate(0, 0, 0)
    rates.update({"slack": status(totals={"committed": 110, "delivered": 60, "skipped": 3, "retried": 1})}, 3_000)
    assert rates.of("slack") == Rate(5, 6, 0.5)
    rates.update({"slack": status(totals={})}, 4_000)
    assert rates.of("slack") == Rate(0, 0, 0)


def test_row_shows_what_is_held() -> None:
    line = dict(
        zip(TITLES, cells(TopLine("slack", status(held={3_610_000: 1234}, paused_ms=1), Rate()), 10_000), strict=True)
    )
    assert line["Held back"].startswith("paused 10.0s ago, 1,234 held until ")
    assert line["Held back"].endswith("(1h left)")


def test_a_rate_limit_holds_back_only_what_is_due() -> None:
    spent = {"limits": {"1/day": 0}, "waiting": 2}
    assert hold_reason(status(**spent, held={20_000: 1}), 10_000) == "rate limit 1/day reached"
    assert hold_reason(status(**spent, held={20_000: 1, 30_000: 1}), 10_000) == ""


def test_row_shows_rates_backlog_and_hold_reason() -> None:
    line = cells(TopLine("slack", status(paused_ms=1_000), Rate(1, 2, 0.25)), 10_000)
    assert dict(zip(TITLES, line, strict=True)) == {
        "Integration": "slack",
        "In/s": "1.0",
        "Out/s": "2.0",
        "Retry/s": "0.2",
        "Waiting": "3",
        "Released": "2",
        "Dead": "0",
        "Oldest": "1m",
        "Held back": "paused 9.0s ago",
        "Last error": "server: \\u001b500 (2.0s ago)",
    }


def test_once_prints_one_table(client: redis.Redis) -> None:
    Ledger(client).pause("slack")
    result = CliRunner().invoke(courier, ["top", "--once"], catch_exceptions=False)
    assert result.exit_code == 0
    titles, _, slack = result.stdout.splitlines()
    assert titles.split("\t") == TITLES
    assert slack.split("\t")[8].startswith("paused ")


@pytest.mark.parametrize("interrupted", [False, True])
def test_top_runs_until_q_or_interrupt(*, interrupted: bool) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ops.cli.main", "top"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200", "LINES": "20"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits SIGINT as ignored
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    signal.signal(signal.SIGINT, before)
    os.close(theirs)
    shown = b""
    while b"q quit" not in shown:
        shown += os.read(ours, 65_536)
    if interrupted:
        process.send_signal(signal.SIGINT)
    else:
        os.write(ours, b"q")
    with suppress(OSError):  # the terminal closes when its process exits
        while more := os.read(ours, 65_536):
            shown += more
    assert process.wait(20) == 0
    os.close(ours)
    assert b"slack" in shown
    assert b"Traceback" not in shown


def test_screen_shows_what_the_last_deliveries_say() -> None:
    recent = RecentHistory(
        entries=3,
        last_success_ms=7_000,
        latency_p50_s=2,
        latency_p99_s=40,
        noisiest_rule=NoisiestRule(id="5710", description="sshd: \x1b[31mno such user", entries=2),
    )
    titles, line, *_ = View().draw([TopLine("slack", status(), Rate(), recent)], 10_000, 200, 10)
    assert titles.plain.endswith("Last success   p50    p99  Noisiest rule")
    assert "3.0s ago      2.0s  40.0s  5710 sshd:" in line.plain
    assert "\x1b" not in line.plain


def test_a_long_id_takes_one_line_of_a_narrow_screen() -> None:
    console = Console(width=60, file=io.StringIO())
    drawn = View().draw([TopLine("custom-" + "x" * 45, status(), Rate())], 10_000, 60, 10)
    assert [len(line.wrap(console, 60)) for line in drawn] == [1] * len(drawn)
