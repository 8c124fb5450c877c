"""Output in a real terminal of 60 to 200 columns: ids are never truncated, one line per integration."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from common.integration import Integration
from common.ledger import Header, Settlement, SettleOutcome
from common.ledger.record import Attempt
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from common.reports.worker import WorkerReport, publish_worker_report
from common.secret import Secret
from tests.support.ledger import Ledger
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

IDS = ("custom-a-rather-long-name-of-a-script", "pagerduty", "shuffle", "slack-8fe959", "slack-9562e1")
MANY = tuple(f"custom-{n:02}" for n in range(40))
ERROR = "HTTP 403 invalid_token: the webhook was revoked by an administrator of the workspace, see the documentation"
DELIVERY = "wazuh-manager-1:66a1b2c3d4e5f6a7b8c9:1234567:deadbeef"
ALERT = "1769846400.1234567"


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    registry, ledger = PublishedRegistry(client, Cipher(Fernet.generate_key())), Ledger(client)
    registry.publish("m1", [Integration(id=i, name=i, hook_url=Secret(f"https://h.example/{i}")) for i in IDS])
    report = ProducerReport(
        seen_ms=ledger.now_ms(),
        config_error=f"ossec.conf:1: {ERROR}",
        lags=dict.fromkeys(IDS, IntegrationLag(backpressured=True)),
    )
    publish_producer_report(client, "m1", report, added={"lines": 12_345_678, "matched": 345_678})
    publish_worker_report(
        client, "http@m1", "1", WorkerReport(seen_ms=ledger.now_ms(), begun=3, running=1, idle_since_ms=0)
    )
    for one in IDS:
        die(ledger, one)
        ledger.pause(one, "the channel is being moved to another workspace; ask Mary before you resume it, please")
    return ledger


def die(ledger: Ledger, integration_id: str) -> None:
    rule = {"id": "5712", "level": 10, "description": "sshd: brute force trying to get access to the system"}
    alert = json.dumps({"id": ALERT, "rule": rule, "agent": {"id": "001", "name": "web01"}}).encode()
    ledger.commit(
        integration_id,
        node="m1",
        expected="",
        cursor="c",
        deliveries=[(DELIVERY, alert)],
        max_backlog=9,
        max_backlog_bytes=9999,
    )
    ledger.release(integration_id, max_in_flight=1, batch_max=1, lease_s=60, linger_s=0)
    ledger.begin(integration_id, [DELIVERY], token="w", lease_s=60)
    header = Header(committed_ms=1, attempts=3, history=(Attempt(1, "unauthorized", ERROR),))
    dead = Settlement(id=DELIVERY, outcome=SettleOutcome.DEAD, reason="unauthorized", header=header)
    ledger.settle(integration_id, [dead], token="w", last_error=f"auth: {ERROR}")


@pytest.fixture(params=[60, 80, 100, 140, 200])
def width(request: pytest.FixtureRequest) -> int:
    chosen: int = request.param
    return chosen


def test_status_has_one_line_per_integration(ledger: Ledger, server: EmbeddedServer, width: int) -> None:
    del ledger
    lines = Terminal(server, width, 30, "status").end().splitlines()
    assert max(map(len, lines)) <= width
    table = lines[: next(n for n, line in enumerate(lines) if line.startswith(f"{IDS[0]}: "))]
    assert [line.split()[0] for line in table[1:]] == [*sorted([*IDS, "manager"])]
    for one in IDS:
        assert sum(line.startswith(f"{one}: paused") for line in lines) == 1
        assert sum(line.startswith(f"{one}: error") for line in lines) == 1
    assert any(line.startswith("m1: ossec.conf:1") for line in lines)
    assert any(line.startswith("http@m1 ") for line in lines)


def test_check_is_one_line(ledger: Ledger, server: EmbeddedServer, width: int) -> None:
    del ledger
    (line,) = Terminal(server, width, 30, "status", "--check").end().splitlines()
    assert line.startswith("COURIER WARNING - ")
    assert "waiting=" not in line
    assert len(line) <= width


def test_dead_list_never_truncates_ids(ledger: Ledger, server: EmbeddedServer, width: int) -> None:
    del ledger
    shown = Terminal(server, width, 30, "dead", "list").end()
    lines = shown.splitlines()
    assert shown.count(DELIVERY) == shown.count(ALERT) == len(IDS)
    for one in IDS:
        assert sum(one in line for line in lines) == 1
    longest = max(map(len, (f"{DELIVERY}  {one}" for one in IDS)))
    assert max(map(len, lines)) <= max(width, longest)


def test_top_shows_all_integrations_on_one_screen(ledger: Ledger, server: EmbeddedServer) -> None:
    del ledger
    terminal = Terminal(server, 80, 30, "top")
    shown = terminal.until("q quit")
    assert all(any(line.split()[:1] == [one] for line in shown.splitlines()) for one in IDS)
    assert max(map(len, shown.splitlines())) <= 80
    assert sum(f"{one}: paused" in shown for one in IDS) == len(IDS)
    terminal.press(b"q")
    terminal.end()


@pytest.mark.parametrize(
    ("variable", "value", "command"), [("TERM", "dumb", "top"), ("TERM", "dumb", "status"), ("NO_COLOR", "1", "status")]
)
def test_terminal_without_escape_sequences_gets_none(
    ledger: Ledger, server: EmbeddedServer, variable: str, value: str, command: str
) -> None:
    """There, `top` cannot draw over its last screen: it prints the table once."""
    del ledger
    terminal = Terminal(server, 80, 30, command, **{variable: value})
    shown = terminal.end()
    assert all(one in shown for one in IDS)
    assert b"\x1b" not in terminal.raw


def test_top_scrolls_and_sorts(client: redis.Redis, server: EmbeddedServer) -> None:
    registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
    registry.publish("m1", [Integration(id=i, name=i) for i in MANY])
    die(Ledger(client), MANY[33])
    terminal = Terminal(server, 80, 20, "top")
    assert MANY[33] not in re.sub(r"custom-\d\d: .*", "", terminal.until("1-"))
    before = terminal.press(b"\x1b[6~")
    assert "custom-20" in terminal.until("of 41 by Integration", after=before)
    before = terminal.press(b"\x1b[F")
    assert "manager" in terminal.until("-41 of 41", after=before)
    before = terminal.press(b"d")
    sorted_by_dead = terminal.until("by Dead", after=before)
    assert sorted_by_dead.index(MANY[33]) < sorted_by_dead.index(MANY[0])
    terminal.press(b"q")
    terminal.end()
