from __future__ import annotations

import json
import re
import urllib.request
from typing import TYPE_CHECKING

import pytest

from common.ledger import Header, Settlement, SettleOutcome
from common.ledger.record import Attempt, Delivery
from common.ledger.types import DeadLetter
from common.registry.entries import catalogue
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from common.reports.worker import WorkerReport, publish_worker_report
from ops.admin.session import LedgerSession
from ops.admin.status_report import read_histories, read_report
from ops.console import alert_search
from ops.console import console as shared
from tests.support.console import LOGIN
from tests.support.ledger import Ledger
from tests.support.recorder import eventually
from tests.support.round_trips import counted_round_trips

if TYPE_CHECKING:
    import redis

    from tests.support.console import ConsoleServer, Visitor

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m'\"" + "x" * 100_000


def publish(client: redis.Redis, *ids: str) -> None:
    for one in ("version", *ids):
        client.hset("courier:integrations", one, "1")


def bury(client: redis.Redis, integration: str, count: int, detail: str = "no") -> None:
    header = Header(committed_ms=1, attempts=1, history=(Attempt(1, "http_4xx", detail),))
    Ledger(client).import_dead(integration, [DeadLetter(Delivery(f"d-{n}", header, b"{}"), 1) for n in range(count)])


def shown(visitor: Visitor, text: str) -> str:
    """Return the overview as soon as it has the text: it is kept for a second."""
    return str(eventually(lambda: page if text in (page := visitor.get("/").text) else ""))


def test_more_reads_than_threads_can_do_soon_are_refused_with_a_word(
    operator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "MAX_READS", 1)
    assert [operator.get("/dead").status for _ in range(3)] == [200] * 3, "one after the other"
    monkeypatch.setattr(shared, "MAX_READS", 0)
    page = operator.get("/dead")
    assert page.status == 503
    assert "wait some seconds" in page.text
    monkeypatch.setattr(alert_search, "MAX_SEARCHES", 0)
    page = operator.get("/alert/1.2")
    assert (page.status, "wait some seconds" in page.text) == (503, True)


def test_it_shows_integrations_sources_workers_and_why_something_is_held_back(
    client: redis.Redis, operator: Visitor
) -> None:
    publish(client, "slack", "teams")
    bury(client, "teams", 3)
    Ledger(client).pause("slack", "the channel is moved")
    now_ms = Ledger(client).now_ms()
    producer = ProducerReport(seen_ms=now_ms, lags={"slack": IntegrationLag(lag_s=75.0)}, config_error="ossec.conf:7")
    publish_producer_report(client, "manager-1", producer, added={})
    publish_worker_report(client, "http@h", "p", WorkerReport(seen_ms=now_ms, begun=1234, running=2, idle_since_ms=0))
    page = shown(operator, "the channel is moved")
    assert re.search(r'id="tile-slack".*?badge warn">paused', page, re.DOTALL)
    assert re.search(
        r'id="tile-teams".*?badge bad">dead letters.*?<a href="/dead\?integration=teams">3</a>', page, re.DOTALL
    )
    for text in ("manager-1", "<td>1m</td>", "ossec.conf:7", "http@h", "1,234"):
        assert text in page


def test_an_integration_whose_deliveries_fail_is_not_shown_as_well(client: redis.Redis, operator: Visitor) -> None:
    publish(client, "slack")
    ledger = Ledger(client)
    ledger.commit(
        "slack",
        node="n",
        expected="",
        cursor="c",
        deliveries=[("a", b"{}")],
        max_backlog=9,
        max_backlog_bytes=999,
    )
    ledger.release("slack", max_in_flight=9, batch_max=1, lease_s=60, linger_s=0)
    assert ledger.begin("slack", ["a"], token="w", lease_s=60)
    header = Header(committed_ms=1, attempts=1, history=(Attempt(ledger.now_ms(), "timeout", "no answer"),))
    retry = Settlement(id="a", outcome=SettleOutcome.RETRY, reason="timeout", header=header, delay_ms=60_000)
    ledger.settle("slack", [retry], token="w")
    page = shown(operator, "retrying")
    assert re.search(r'id="tile-slack".*?badge warn">retrying', page, re.DOTALL)


def test_hostile_text_stays_text(client: redis.Redis, operator: Visitor) -> None:
    publish(client, "slack")
    Ledger(client).pause("slack", HOSTILE)
    page = shown(operator, "&lt;script&gt;")
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\\u202e\\u001b" in page
    assert len(page) < 20_000


def test_an_unreadable_redis_is_a_page_and_not_a_traceback(client: redis.Redis, operator: Visitor) -> None:
    client.set("courier:integrations", "of another program")
    answer = eventually(lambda: found if (found := operator.get("/")).status != 200 else None)
    assert answer.status in {502, 503}
    assert "Traceback" not in answer.text


def test_changes_reach_open_pages(client: redis.Redis, console: ConsoleServer) -> None:
    publish(client, "slack")
    assert shown(console.visitor(), "No worker has reported"), "not the overview of the test before"
    request = urllib.request.Request(f"{console.url}live/overview")
    request.add_header("Authorization", console.visitor(LOGIN).authorization)
    with urllib.request.urlopen(request, timeout=30) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"

        def message() -> dict[str, dict[str, str]]:
            while not (line := stream.readline()).startswith(b"data: "):
                pass
            return dict(json.loads(line[6:]))

        first = message()
        assert "tile-slack" in first["html"]
        assert "tile-slack" in first["lists"]["tiles"]
        publish(client, "slack", "teams")
        Ledger(client).pause("slack", "moved")
        following = iter(message, None)
        found = next(one for one in following if "teams" in json.dumps(one))
        assert "tile-teams" in found["html"]
        assert "moved" in found["html"].get("tile-slack", "") or "moved" in next(following)["html"]["tile-slack"]
        assert "workers" not in found["html"], "what did not change is not sent"


@pytest.mark.parametrize("integrations", [1, 40])
def test_the_cost_of_an_overview_does_not_grow_with_the_integrations(client: redis.Redis, integrations: int) -> None:
    publish(client, *(f"i-{n}" for n in range(integrations)))
    session = LedgerSession(client, Ledger(client), catalogue(client))
    histories = read_histories(session, session.ids)
    with counted_round_trips() as count:
        read_report(session.refreshed(), session.ids, histories=histories)
    assert count() <= 12
