"""Whatever Redis contains for one integration, every command shows the others, and none prints a traceback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from common.errors import CourierError
from common.ledger import DeadLetter, Delivery, Header, Ledger
from common.ledger.keys import KEY_NAMES
from ops.cli.main import courier
from ops.monitoring.exporter import LedgerCollector

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

JUNK = b"junk\n{}"
ALERT = b'{"rule":{"id":"5712"},"id":"1"}'


@pytest.fixture
def ledger(server: EmbeddedServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    client.hset("courier:integrations", mapping={"bad": "sealed", "good": "sealed", "version": 1})
    ledger = Ledger(client)
    for one in ("bad", "good"):
        ledger.import_dead(one, [DeadLetter(Delivery(one, Header(committed_ms=1), ALERT), 1_700_000_000_000)])
    return ledger


def run(*arguments: str) -> Result:
    """Run a command. It must succeed or fail with a readable error."""
    result = CliRunner().invoke(courier, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit | CourierError), result.exception
    return result


def metric(client: redis.Redis, name: str) -> dict[str, float]:
    return {
        sample.labels["integration"]: sample.value
        for family in LedgerCollector(client).collect()
        if family.name == name
        for sample in family.samples
    }


@pytest.mark.parametrize("part", KEY_NAMES)
def test_commands_show_a_damaged_integration_and_all_others(client: redis.Redis, ledger: Ledger, part: str) -> None:
    key = f"courier:{{bad}}:{part}"
    client.delete(key)
    client.set(key, "x")
    report = json.loads(run("status", "--json").stdout)["integrations"]
    assert (report["bad"]["damaged"], report["good"]["damaged"]) == ([key], [])
    assert f"damaged keys: {key}" in run("status").stdout
    check = run("status", "--check")
    assert (check.exit_code, f"bad: damaged keys: {key}" in check.stdout) == (2, True)
    assert f"damaged keys: {key}" in run("top", "--once").stdout
    listed = [json.loads(line)["integration"] for line in run("dead", "list", "--json").stdout.splitlines()]
    assert "good" in listed
    assert metric(client, "courier_ledger_damaged_keys") == {"bad": 1, "good": 0, "manager": 0}
    for command in ("pause", "resume"):
        run(command, "bad")
    assert "1 discarded" in run("dead", "discard", "--integration", "good", "--yes").stdout
    assert ledger.status("good").dead == 0


@pytest.mark.parametrize("record", [JUNK, b"\xff\xfe", b"", b"[" * 100_000, b'{"committed_ms":"x"}\n"\\ud800"'])
def test_an_unreadable_dead_letter_can_be_listed_shown_exported_and_discarded(
    client: redis.Redis, ledger: Ledger, tmp_path: Path, record: bytes
) -> None:
    client.hset("courier:{bad}:records", "bad", record)
    (line, other) = map(json.loads, run("dead", "list", "--json").stdout.splitlines())
    assert (line["delivery"], line["reason"], other["reason"]) == ("bad", "unreadable", "worker_lost")
    assert "unreadable" in run("dead", "list").stdout
    shown: Any = json.loads(run("dead", "show", "bad").stdout)
    assert shown["alert"] == record.decode("utf-8", "replace")
    assert "2 exported" in run("dead", "export", str(tmp_path / "letters")).stdout
    replayed = run("dead", "replay", "--yes")
    assert "the record of delivery bad cannot be read" in replayed.stderr
    assert "it cannot be replayed" in replayed.stderr
    assert "1 dead letter queued" in replayed.stdout
    assert "1 discarded" in run("dead", "discard", "bad", "--yes").stdout
    assert ledger.status("bad").dead == 0


def test_an_alert_with_megabytes_in_one_field_is_one_short_line(ledger: Ledger) -> None:
    alert = b'{"rule":{"id":[%s1],"description":"%s"}}' % (b"1," * 500_000, b"x" * 1_000_000)
    ledger.import_dead("good", [DeadLetter(Delivery("large", Header(committed_ms=1), alert), 1)])
    for arguments in (["list"], ["list", "--json"]):
        assert len(run("dead", *arguments, "--integration", "good").stdout) < 10_000


def test_ids_that_are_not_text_can_be_listed_shown_exported_and_discarded(
    client: redis.Redis, ledger: Ledger, tmp_path: Path
) -> None:
    client.hset("courier:{bad}:records", b"\xff\x1b[2J", JUNK)
    client.zadd("courier:{bad}:dead", {b"\xff\x1b[2J": 1})
    for arguments in (["list"], ["list", "--json"], ["show"], ["export", str(tmp_path / "letters")]):
        result = run("dead", *arguments)
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
    assert "2 discarded" in run("dead", "discard", "--integration", "bad", "--yes").stdout
    assert ledger.status("bad").dead == 0


def test_values_that_are_not_numbers_are_shown_as_none(client: redis.Redis, ledger: Ledger) -> None:
    for field in ("paused_ms", "breaker", "breaker_until_ms", "target", "limits", "last_error", "last_error_ms"):
        client.hset("courier:{bad}:control", field, b"\xff inf")
    client.hset("courier:{bad}:totals", mapping={"delivered": "nan", b"\xff": "1e999", "dead": "x"})
    client.hset("courier:{bad}:cursor", b"\xff", b"\xff")
    client.zadd("courier:{bad}:dead", {"odd": float("inf")})
    for arguments in (["status"], ["status", "--json"], ["top", "--once"], ["dead", "list"]):
        assert run(*arguments).exit_code == 0
    assert run("status", "--check").exit_code == 2
    assert metric(client, "courier_waiting").keys() == {"bad", "good", "manager"}
    assert ledger.resume("bad")
