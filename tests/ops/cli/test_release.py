"""`courier release`, and what `courier status` says of held deliveries."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.ledger import Commit
from ops.cli.main import courier
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

HELD = 1200


@pytest.fixture(autouse=True)
def _address(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)


@pytest.fixture
def until_ms(client: redis.Redis) -> int:
    """Hold HELD deliveries of slack for eight hours, beside one that is not held."""
    client.hset("courier:integrations", mapping={"slack": "sealed", "shuffle": "sealed", "version": 1})
    ledger = Ledger(client)
    until_ms = ledger.now_ms() + 8 * 3600 * 1000
    ids = [f"{n:04}" for n in range(HELD)]
    terms = Commit(
        node="n",
        expected="",
        cursor="c",
        deliveries=[(one, b"{}") for one in (*ids, "now")],
        max_backlog=9999,
        max_backlog_bytes=10**7,
        held_until_ms=dict.fromkeys(ids, until_ms),
    )
    ledger.commit_all({"slack": terms}, {})
    return until_ms


def run(*arguments: str, answer: str = "", code: int = 0) -> str:
    result = CliRunner().invoke(courier, arguments, input=answer, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def held(until_ms: int) -> str:
    """Return the beginning of what tells how many are held."""
    return f"1,200 held until {datetime.fromtimestamp(until_ms / 1000).astimezone().isoformat(' ', 'minutes')} ("


def due_now(client: redis.Redis) -> int:
    return len(Ledger(client).release("slack", max_in_flight=9999, batch_max=1, lease_s=60, linger_s=0))


def test_status_says_how_many_are_held_until_when(until_ms: int) -> None:
    lines = {line.partition("\t")[0]: line for line in run("status").splitlines()}
    assert held(until_ms) in lines["slack"]
    assert "held until" not in lines["shuffle"]
    report = json.loads(run("status", "--json"))["integrations"]
    assert (report["slack"]["held"], report["slack"]["waiting"], report["slack"]["held_back"]) == (HELD, HELD + 1, "")
    assert report["slack"]["holds"] == [{"until_ms": until_ms, "number": HELD}]
    assert (report["shuffle"]["held"], report["shuffle"]["holds"]) == (0, [])


def test_status_check_does_not_warn_of_held_deliveries(until_ms: int) -> None:
    assert until_ms
    assert "held" not in run("status", "--check", code=2)  # critical, since there is no producer


def test_dry_run_changes_nothing(client: redis.Redis, until_ms: int) -> None:
    lines = run("release", "slack", "shuffle", "--dry-run").splitlines()
    assert lines[0].startswith(f"slack: {held(until_ms)}")
    assert lines[1:] == ["shuffle: nothing is held"]
    assert sum(Ledger(client).status("slack").held.values()) == HELD


def test_release_asks_and_lets_all_go(client: redis.Redis, until_ms: int) -> None:
    assert held(until_ms) in run("release", "slack", answer="n\n", code=1)
    assert due_now(client) == 1
    asked = run("release", "slack", answer="y\n")
    assert "Release 1,200 held deliveries? [y/N]: y\nslack: 1,200 released\n" in asked
    assert due_now(client) == HELD
    assert run("release", "slack") == "slack: nothing is held\n"


def test_release_without_a_question(client: redis.Redis, until_ms: int) -> None:
    assert until_ms
    assert run("release", "slack", "--yes").endswith("slack: 1,200 released\n")
    assert due_now(client) == HELD + 1


def test_release_needs_a_known_integration(until_ms: int) -> None:
    assert until_ms
    assert "no integration given" in CliRunner().invoke(courier, ["release"]).output
    assert "did you mean 'slack'" in str(CliRunner().invoke(courier, ["release", "slak"]).exception)
