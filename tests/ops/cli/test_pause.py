from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.ledger import Breaker, Header, Limits, Settlement, SettleOutcome
from common.settings.rate_limit import parse_rate_limit
from ops.cli.main import courier
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

PACE = Limits(target="T", breaker=Breaker(failures=1), rate_limits=(parse_rate_limit("1/day"),))


@pytest.fixture(autouse=True)
def _address(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    client.hset("courier:integrations", mapping={"slack": "sealed", "shuffle": "sealed", "version": 1})
    ledger = Ledger(client)
    for integration in ("slack", "shuffle"):
        deliveries = [(i, b"{}") for i in "abc"]
        ledger.commit(
            integration,
            node="n",
            expected="",
            cursor="c",
            deliveries=deliveries,
            max_backlog=100,
            max_backlog_bytes=10**6,
        )
    return ledger


def run(*arguments: str) -> str:
    result = CliRunner().invoke(courier, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def row(text: str, integration: str) -> dict[str, str]:
    titles, *lines = [line.split("\t") for line in text.partition("\n\n")[0].splitlines()]
    (found,) = [line for line in lines if line[0] == integration]
    return dict(zip(titles, found, strict=True))


def fail(ledger: Ledger, *, pause_s: int = 0) -> None:
    (ids,) = ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0, limits=PACE)
    ledger.begin("slack", ids, token="w", lease_s=60, limits=PACE)
    failed = Settlement(
        id=ids[0],
        outcome=SettleOutcome.RETRY,
        reason="http_5xx",
        delay_ms=1000,
        pause_ms=1000 * pause_s,
        header=Header(committed_ms=1),
    )
    ledger.settle("slack", [failed], token="w", last_error="server: 500\x1b", limits=PACE)


def test_pause_and_resume_print_backlog_and_status_shows_pause(ledger: Ledger) -> None:
    assert row(run("status"), "slack")["Held back"] == ""
    assert run("pause", "slack", "shuffle", "--reason", "chat is\x1bmoved") == (
        "slack paused; 3 deliveries waiting\nshuffle paused; 3 deliveries waiting\n"
    )
    assert run("pause", "slack") == "slack was already paused; 3 deliveries waiting\n"
    held = row(run("status"), "slack")["Held back"]
    assert held.startswith("paused 0.")
    assert held.endswith("s ago: chat is\\u001bmoved")
    document = json.loads(run("status", "--json"))["integrations"]
    assert document["slack"]["paused"]["reason"] == "chat is\x1bmoved"
    assert document["manager"]["paused"] is None
    assert ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0) == []
    assert run("resume", "slack") == "slack resumed; 3 deliveries waiting\n"
    assert run("resume", "slack") == "slack was not paused; 3 deliveries waiting\n"
    assert row(run("status"), "slack")["Held back"] == ""
    assert row(run("status"), "shuffle")["Held back"] != ""


def test_pause_with_an_end_says_until_when(ledger: Ledger) -> None:
    first = run("pause", "slack", "--for", "2h", "--reason", "moved")
    assert re.fullmatch(r"slack paused, until 20\d\d-\d\d-\d\dT[0-9:]{8}Z; 3 deliveries waiting\n", first)
    assert row(run("status"), "slack")["Held back"].endswith("s ago, 2h left: moved")
    until_ms = json.loads(run("status", "--json"))["integrations"]["slack"]["paused"]["until_ms"]
    assert 7_190_000 < until_ms - ledger.now_ms() <= 7_200_000
    assert "already paused, until 2126-01-01T00:00:00Z" in run("pause", "slack", "--until", "2126-01-01T00:00:00Z")
    assert run("pause", "slack") == "slack was already paused; 3 deliveries waiting\n"
    for wrong in (["--for", "1h", "--until", "2126-01-01T00:00:00Z"], ["--until", "2020-01-01T00:00:00Z"]):
        assert CliRunner().invoke(courier, ["pause", "slack", *wrong]).exit_code == 2
    assert run("resume", "slack") == "slack resumed; 3 deliveries waiting\n"


def test_unknown_name_pauses_nothing(ledger: Ledger) -> None:
    result = CliRunner().invoke(courier, ["pause", "slack", "shufle"])
    assert "unknown integration 'shufle'; known integrations: manager, shuffle, slack" in str(result.exception)
    assert not ledger.status("slack").paused_ms
    assert CliRunner().invoke(courier, ["pause"]).exit_code == 2


def test_status_shows_breaker_pause_and_limits(ledger: Ledger) -> None:
    fail(ledger, pause_s=90)
    held = row(run("status"), "slack")["Held back"]
    assert held.startswith("breaker open, next try in ")
    assert "target requested a pause, 1m left" in held or "target requested a pause, 2m left" in held
    assert held.endswith("rate limit 1/day reached")
    document = json.loads(run("status", "--json"))["integrations"]["slack"]
    assert document["limits"] == {"1/day": 0}
    assert document["breaker"]["state"] == "open"
    assert document["breaker"]["until_ms"] > ledger.now_ms()
    assert document["target_paused_until_ms"] > document["breaker"]["until_ms"]
