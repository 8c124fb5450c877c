from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.ledger import Header, Settlement, SettleOutcome
from common.ledger.record import Attempt, FallbackOf, LastResponse
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from ops.cli.main import courier
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

ANSWER = LastResponse(1, 400, "<p>no such\nchannel", truncated=True)


@pytest.fixture(autouse=True)
def _address(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    client.hset("courier:integrations", mapping={"slack": "sealed", "version": 1})
    return Ledger(client)


def run(*arguments: str, answer: str = "") -> str:
    result = CliRunner().invoke(courier, arguments, input=answer, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_for_nothing(*arguments: str) -> str:
    result = CliRunner().invoke(courier, arguments)
    assert result.exit_code == 1
    return str(result.exception)


def bury(
    ledger: Ledger,
    delivery_id: str,
    *,
    alert_id: str = "1.2",
    rule: str,
    reason: str,
    detail: str = "no\x1b[2J",
    fallback_of: FallbackOf | None = None,
) -> None:
    about = {"id": rule, "level": 10, "description": "sshd: brute force"}
    alert = json.dumps({"id": alert_id, "rule": about, "agent": {"id": "001", "name": "web01"}}).encode()
    ledger.commit(
        "slack",
        node="n",
        expected=ledger.cursor("slack", "n"),
        cursor=delivery_id,
        deliveries=[(delivery_id, alert)],
        max_backlog=100,
        max_backlog_bytes=10**6,
    )
    ledger.release("slack", max_in_flight=10, batch_max=10, lease_s=60, linger_s=0)
    (begun,) = ledger.begin("slack", [delivery_id], token="w", lease_s=60)
    header = Header(
        committed_ms=begun.header.committed_ms,
        attempts=3,
        history=(Attempt(1, reason, detail),),
        response=ANSWER,
        fallback_of=fallback_of,
    )
    settlement = Settlement(id=delivery_id, outcome=SettleOutcome.DEAD, reason=reason, header=header)
    assert ledger.settle("slack", [settlement], token="w", last_error=f"{reason}: {detail}").count == 1


def test_status_shows_every_integration_and_node(client: redis.Redis, ledger: Ledger) -> None:
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    report = ProducerReport(lags={"slack": IntegrationLag(backpressured=True)})
    publish_producer_report(client, "wazuh-1", report, added={"lines": 7, "matched": 3, "bad:no_rule": 2})
    client.hset("courier:{slack}:totals", "excepted", 4)
    text = run("status")
    (slack,) = [line.split("\t") for line in text.splitlines() if line.startswith("slack\t")]
    assert slack[:4] == ["slack", "0", "0", "1"]
    assert "http_4xx: no\\u001b[2J" in slack[-1]
    assert "wazuh-1\t7\t3\t2\tnever\tslack\t" in text
    document = json.loads(run("status", "--json"))
    assert document["integrations"]["slack"]["dead"] == 1
    assert document["integrations"]["manager"]["waiting"] == 0
    assert [document["integrations"][one]["excepted"] for one in ("slack", "manager")] == [4, 0]
    assert document["nodes"]["wazuh-1"]["counters"]["matched"] == 3


def test_dead_list_filters(ledger: Ledger) -> None:
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    bury(ledger, "n:f:2", rule="550", reason="unauthorized")
    assert [line.split("\t")[1] for line in run("dead", "list").splitlines()] == ["Delivery", "n:f:1", "n:f:2"]
    for narrowed in (["--rule", "550"], ["--reason", "unauthorized"], ["n:f:2"]):
        (line,) = run("dead", "list", "--json", *narrowed).splitlines()
        assert json.loads(line)["delivery"] == "n:f:2"
    assert run_for_nothing("dead", "list", "--older", "1h").startswith("no dead letters match")
    for all_of_them in (["--older", "0s"], ["--integration", "slack"]):
        assert len(run("dead", "list", "--json", *all_of_them).splitlines()) == 2
    for command in ("list", "show", "replay", "discard"):
        nothing = run_for_nothing("dead", command, "--integration", "manager")
        assert nothing == "no dead letters match; to list all of them, run `courier dead list` without filters"


def test_dead_list_without_dead_letters(ledger: Ledger) -> None:
    del ledger
    assert run_for_nothing("dead", "list") == "no dead letters"


def test_alert_id_selects_all_dead_letters_of_the_alert(client: redis.Redis, ledger: Ledger) -> None:
    del client
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx", alert_id="1769846400.17")
    bury(ledger, "n:f:2", rule="550", reason="unauthorized", alert_id="1769846400.18")
    (line,) = run("dead", "list", "--json", "1769846400.17").splitlines()
    document = json.loads(line)
    assert (document["delivery"], document["alert_id"]) == ("n:f:1", "1769846400.17")
    assert document["rule"] == {"id": "5712", "level": 10, "description": "sshd: brute force"}
    assert document["agent"] == {"id": "001", "name": "web01"}
    titles, row = (text.split("\t") for text in run("dead", "list", "1769846400.18").splitlines())
    shown = dict(zip(titles, row, strict=True))
    assert (shown["Alert"], shown["Rule"], shown["Level"]) == ("1769846400.18", "550 sshd: brute force", "10")
    assert shown["Agent"] == "001 web01"
    assert json.loads(run("dead", "show", "1769846400.17"))["delivery"] == "n:f:1"
    assert "1 discarded" in run("dead", "discard", "--yes", "1769846400.17")
    assert "1 dead letter queued" in run("dead", "replay", "--yes", "1769846400.18")


def test_dead_show_prints_history_and_alert(ledger: Ledger) -> None:
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    shown = json.loads(run("dead", "show", "n:f:1"))
    assert shown["alert"]["rule"]["id"] == "5712"
    assert shown["history"] == [{"at_ms": 1, "reason": "http_4xx", "detail": "no\x1b[2J"}]
    assert shown["fallback_of"] is None
    assert shown["response"] == {"at_ms": 1, "status": 400, "text": "<p>no such\nchannel", "truncated": True}


def test_dead_letter_of_a_fallback_names_the_original_integration(ledger: Ledger) -> None:
    bury(
        ledger,
        "n:f:1+fallback:slack",
        rule="5712",
        reason="http_4xx",
        fallback_of=FallbackOf("shuffle", "unauthorized"),
    )
    shown = json.loads(run("dead", "show"))
    assert shown["fallback_of"] == {"integration": "shuffle", "reason": "unauthorized"}


def test_replay_counts_confirms_and_queues(ledger: Ledger) -> None:
    for n in range(3):
        bury(ledger, f"n:f:{n}", rule="5712", reason="http_4xx")
    refused = CliRunner().invoke(courier, ["dead", "replay"], input="n\n")
    assert (refused.exit_code, ledger.status("slack").dead) == (1, 3)
    assert "3 dead letters queued" in run("dead", "replay", "--rate", "2", answer="y\n")
    status = ledger.status("slack")
    assert (status.dead, status.waiting, status.totals["replayed"]) == (0, 3, 3)


def test_discard_deletes_only_selected_dead_letters(ledger: Ledger) -> None:
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    bury(ledger, "n:f:2", rule="550", reason="unauthorized")
    refused = CliRunner().invoke(courier, ["dead", "discard"], input="n\n")
    assert (refused.exit_code, ledger.status("slack").dead) == (1, 2)
    assert "Discard 2" in refused.output
    assert "1 discarded" in run("dead", "discard", "--yes", "--reason", "http_4xx")
    status = ledger.status("slack")
    assert (status.dead, status.totals["discarded"]) == (1, 1)


def test_replay_to_another_integration(client: redis.Redis, ledger: Ledger) -> None:
    client.hset("courier:integrations", "shuffle", "sealed")
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    assert "1 dead letter queued for shuffle" in run("dead", "replay", "--to", "shuffle", "--yes")
    assert (ledger.status("slack").dead, ledger.status("shuffle").waiting) == (0, 1)


def test_replay_refuses_rate_together_with_to(client: redis.Redis, ledger: Ledger) -> None:
    client.hset("courier:integrations", "shuffle", "sealed")
    bury(ledger, "n:f:1", rule="5712", reason="http_4xx")
    result = CliRunner().invoke(courier, ["dead", "replay", "--to", "shuffle", "--rate", "10", "--yes"])
    assert (result.exit_code, ledger.status("slack").dead) == (2, 1)
    assert "--rate cannot be used with --to" in result.stderr


def test_bury_waiting_deliveries_of_a_removed_integration(ledger: Ledger) -> None:
    for n in range(3):
        ledger.commit(
            "slack",
            node="n",
            expected=ledger.cursor("slack", "n"),
            cursor=str(n),
            deliveries=[(f"n:f:{n}", b"{}")],
            max_backlog=100,
            max_backlog_bytes=10**6,
        )
    assert "3 buried" in run("dead", "bury", "slack", answer="y\n")
    assert len(run("dead", "list", "--reason", "buried").splitlines()) == 4


def test_unknown_name_error_lists_the_known_ones(ledger: Ledger) -> None:
    del ledger
    result = CliRunner().invoke(courier, ["dead", "list", "--integration", "slak"])
    assert "unknown integration 'slak'; known integrations: manager, slack" in str(result.exception)
