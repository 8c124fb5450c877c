from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from common.ledger import Facts, HistoryEntry, Ledger
from common.ledger.history import encode_facts
from common.ledger.keys import history_key
from common.printable import printable
from ops.admin.history import FIELDS, as_alert, describe, local_time
from ops.admin.history_follower import HistoryFollower
from ops.admin.session import LedgerSession
from ops.cli.main import courier
from tests.support.recorder import eventually
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

HOUR_MS = 3_600_000
HOSTILE = "sshd \x1b[2J\u202e brute force"


@pytest.fixture(autouse=True)
def _address(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    """A ledger with entries of the last hours, the oldest first, of two integrations."""
    client.hset("courier:integrations", mapping={"slack": "sealed", "teams": "sealed", "version": 1})
    ledger = Ledger(client)
    now_ms = ledger.now_ms()
    add(client, "slack", now_ms - 5 * HOUR_MS, "old", "delivered", alert="1.0")
    add(client, "slack", now_ms - HOUR_MS // 2, "a", "delivered", alert="1.1", rule="5710", level=5)
    add(client, "teams", now_ms - HOUR_MS // 3, "b", "dead", "http_4xx", alert="1.1", rule="5710", level=5)
    add(client, "slack", now_ms - HOUR_MS // 4, "c", "dead", "timeout", alert="1.2", rule="5712", agent="db01")
    add(client, "slack", now_ms - HOUR_MS // 5, "c", "discarded", alert="1.2", rule="5712", agent="db01")
    return ledger


def add(  # noqa: PLR0917 — the calls are a table
    client: redis.Redis,
    integration_id: str,
    ended_ms: int,
    delivery: str,
    outcome: str,
    reason: str = "",
    *,
    alert: str,
    rule: str = "5712",
    level: int = 10,
    agent: str = "web01",
) -> None:
    facts = Facts(alert, rule, level, HOSTILE, "001", agent, ended_ms - 1500, ended_ms - 900, 2, "http@host", 40)
    client.xadd(
        history_key(integration_id),
        {"id": delivery, "outcome": outcome, "reason": reason, "facts": encode_facts(facts)},
        id=f"{ended_ms}-*",
    )


def run(*arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(courier, ["history", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def deliveries(*arguments: str) -> list[str]:
    return [one["delivery"] for one in run(*arguments)]


def refused(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(courier, ["history", *arguments])
    return result.exit_code, result.output + str(result.exception)


def test_entries_are_json_lines_without_a_terminal(ledger: Ledger) -> None:
    del ledger
    found = run()
    assert [one["delivery"] for one in found] == ["old", "a", "b", "c", "c"]
    ended_ms = found[2].pop("ended_ms")
    assert found[2] == {
        "integration": "teams",
        "delivery": "b",
        "alert_id": "1.1",
        "rule": {"id": "5710", "level": 5, "description": HOSTILE},
        "agent": {"id": "001", "name": "web01"},
        "count": None,
        "outcome": "dead",
        "reason": "http_4xx",
        "attempts": 2,
        "committed_ms": ended_ms - 1500,
        "first_attempt_ms": ended_ms - 900,
        "attempt_ms": 40,
        "worker": "http@host",
    }
    assert "\x1b" not in CliRunner().invoke(courier, ["history"]).stdout


def test_options_select_entries(ledger: Ledger) -> None:
    del ledger
    assert deliveries("slack") == deliveries("--integration", "slack") == ["old", "a", "c", "c"]
    assert deliveries("--since", "1h") == ["a", "b", "c", "c"]
    assert deliveries("--outcome", "dead", "--outcome", "delivered", "--since", "18m") == ["c"]
    assert deliveries("--last", "2") == ["c", "c"]
    assert deliveries("--last", "1", "--outcome", "delivered") == ["a"]
    assert deliveries("--alert", "1.1") == ["a", "b"]
    assert deliveries("--alert", "old") == ["old"]
    assert deliveries("--match", "rule.level < 6 and not outcome = dead") == ["a"]
    assert deliveries("--match", "reason = http_*, timeout") == ["b", "c"]
    assert deliveries("--match", "agent.name ~ ^db and reason") == ["c"]
    assert deliveries("--match", "worker and id = 1.2 and attempts >= 2", "teams", "slack") == ["c", "c"]


def test_nothing_found_and_wrong_options_are_told_in_one_line(ledger: Ledger) -> None:
    del ledger
    assert refused("--alert", "9.9") == (1, "no entries of the history match")
    assert refused("nobody")[0] == 1
    code, text = refused("--match", "data.srcip in 10.0.0.0/8")
    assert code == 1
    assert "has no field data.srcip; it has id, rule.id" in text
    assert "--match, column 9" in refused("--match", "rule.id == 5710")[1]
    assert refused("--match", "@quiet")[0] == 1
    for wrong in (["--outcome", "lost"], ["--last", "0"], ["--follow", "--last", "3"], ["--follow", "--top", "rules"]):
        assert refused(*wrong)[0] == 2
    assert refused("--alert", "")[0] == 2  # a variable that is not set must not show other alerts


def test_top_counts_ends_by_rule_agent_and_reason(ledger: Ledger) -> None:
    del ledger
    rules = run("--top", "rules")
    assert [(one["id"], one["count"], one["delivered"], one["dead"]) for one in rules] == [
        ("5710", 2, 1, 1),
        ("5712", 1, 0, 1),
    ]
    assert {one["name"] for one in rules} == {HOSTILE}
    assert [one["count"] for one in run("--top", "agents", "--since", "1d")] == [4]
    assert {one["id"] for one in run("--top", "reasons")} == {"http_4xx", "timeout"}


def test_malformed_entries_are_counted_and_hide_no_other(ledger: Ledger, client: redis.Redis) -> None:
    del ledger
    client.xadd(history_key("slack"), {"x": "\x1b[2J"})
    client.set(history_key("manager"), "x")
    foreign = {"id": b"\xed\xa0\x80\x1b", "outcome": "dead", "reason": b"\xff", "facts": b'["\xff\\u001b"]'}
    client.xadd(history_key("teams"), foreign)  # type: ignore[arg-type]  # redis-py's type is invariant
    result = CliRunner().invoke(courier, ["history"])
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 5 + 1)
    assert "slack: 1 malformed entry not shown" in result.stderr
    assert "manager: courier:{manager}:history in Redis is not a stream" in result.stderr
    assert "\x1b" not in result.output


@pytest.mark.parametrize("width", [60, 100, 200])
def test_table_fits_the_terminal(ledger: Ledger, server: EmbeddedServer, width: int) -> None:
    del ledger
    titles, *lines = Terminal(server, width, 30, "history").end().splitlines()
    assert titles.split()[:2] == ["Ended", "Integration"]
    assert len(lines) == 5
    assert max(map(len, lines)) <= width
    assert "1.2" in lines[-1]
    shown = Terminal(server, width, 30, "history", "--top", "rules").end().splitlines()
    assert shown[1].split()[0] == "2"
    assert max(map(len, shown)) <= width
    assert printable(HOSTILE)[:9] in shown[1]


def test_follow_prints_new_entries_at_a_terminal(ledger: Ledger, client: redis.Redis, server: EmbeddedServer) -> None:
    terminal = Terminal(server, 100, 30, "history", "-f", "--since", "20m", "--outcome", "dead")
    assert "slack  dead: timeout  2 attempts  after 1.5s  alert 1.2" in terminal.until("alert 1.2")
    add(client, "teams", ledger.now_ms(), "d", "dead", "timeout", alert="1.3")
    assert "1.1" not in terminal.until("alert 1.3")
    terminal.interrupt()
    assert "Traceback" not in terminal.end()


def test_follow_writes_json_lines_until_it_is_interrupted(ledger: Ledger, client: redis.Redis, tmp_path: Path) -> None:
    output = tmp_path / "lines"
    with output.open("wb") as stdout:
        command = [sys.executable, "-m", "ops.cli.main", "history", "--follow", "--match", "rule.id = 5712"]
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=os.environ)
    count = 0

    def arrives() -> bool:
        nonlocal count
        count += 1
        add(client, "slack", ledger.now_ms(), str(count), "delivered", alert="1.5")
        return output.read_bytes().count(b"\n") > 1

    eventually(arrives)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    numbers = [int(json.loads(line)["delivery"]) for line in output.read_text().splitlines()]
    assert numbers == [*range(numbers[0], numbers[0] + len(numbers))]
    assert (process.returncode, errors) == (0, b"")


def test_follower_finds_new_integrations_and_reports_a_damaged_history_once(
    ledger: Ledger, client: redis.Redis
) -> None:
    follower = HistoryFollower(LedgerSession(client, ledger, {}).refreshed(), (), None)
    assert follower.wait(0.01) == []
    client.hset("courier:integrations", mapping={"shuffle": "sealed", "version": 2})
    assert follower.wait(0.01) == []
    add(client, "shuffle", ledger.now_ms(), "n", "delivered", alert="1.9")
    assert [one.integration for one in follower.wait(5)] == ["shuffle"]
    client.set(history_key("teams"), "x")
    (damaged,) = follower.wait(0.01)
    assert (damaged.integration, damaged.position) == ("teams", "")
    assert follower.wait(0.01) == []


def test_every_field_of_a_condition_is_in_an_entry() -> None:
    facts = Facts("1.2", "5710", 5, "x", "001", "web01", 1, 2, 3, "w@h", 4)
    entry = HistoryEntry(integration="slack", position="9-0", delivery="d", outcome="dead", reason="gone", facts=facts)
    for field in FIELDS:
        value: Any = as_alert(entry)
        for key in field.split("."):
            value = value[key]
        assert value not in (None, "")
    bare = as_alert(
        HistoryEntry(integration="s", position="9-0", delivery="d", outcome="dead", reason="", facts=Facts())
    )
    assert bare == {
        "id": None,
        "rule": {"level": None},
        "agent": {},
        "outcome": "dead",
        "reason": None,
        "attempts": 0,
        "worker": None,
    }


def test_time_beyond_the_calendar_is_empty() -> None:
    assert local_time(99_999_999_999_999_999) == ""
    entry = HistoryEntry(
        integration="s", position=f"{10**17}-0", delivery="d", outcome="dead", reason="", facts=Facts()
    )
    assert describe(entry) == "s  dead  d"
