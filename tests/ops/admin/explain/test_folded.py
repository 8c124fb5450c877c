"""What is said about an alert that was folded: by group and time, since the ledger does not store it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from common.ledger import Commit, Facts, Settlement, SettleOutcome
from common.ledger.history import encode_facts
from common.settings.load import load_settings
from common.timestamps import written_at_s
from ops.admin.explain import Explainer
from ops.admin.explain.ledger import LedgerState
from ops.admin.session import open_session
from producer.alertlog import AlertLog
from producer.configuration import read_configuration
from producer.digests.folder import folder_of
from producer.filters.decode import decode_alert
from tests.support.fakes import Clock
from tests.support.ledger import Ledger
from tests.support.processes import alert

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from ops.admin.explain.model import IntegrationReport
    from ops.standalone.embedded_redis import EmbeddedServer

WRITTEN_MS = round(1000 * (written_at_s(alert(0)) or 0))
BLOCK = "<integration><name>slack</name><hook_url>https://h.example/a</hook_url></integration>"
OF = "alerts with rule.id 5712"
DIGEST = "[integrations.slack.digest]\n"


class Explained:
    """A log of a few alerts, of which an integration has folded some, and what is said about them."""

    def __init__(self, folder: Path, server: EmbeddedServer, client: redis.Redis, table: str, alerts: int = 3) -> None:
        (folder / "alerts.json").write_bytes(b"".join(map(alert, range(alerts))))
        (folder / "ossec.conf").write_text(f"<ossec_config>{BLOCK}</ossec_config>")
        (folder / "courier.toml").write_text(table)
        names = {
            "producer.config": str(folder / "ossec.conf"),
            "producer.alerts": str(folder / "alerts.json"),
            "producer.node": "n",
            "redis.url": server.url,
        }
        self.settings = load_settings(file=folder / "courier.toml", environment={}, cwd=folder, overrides=names)
        self.clock = Clock()
        self.clock.now_s = WRITTEN_MS / 1000 + 1
        self.client, self.ledger = client, Ledger(client, clock=self.clock)
        with closing(AlertLog.of(self.settings.producer)) as log:
            self.lines = log.last(alerts)
            self.end = log.end()

    def fold(self, *numbers: int) -> None:
        """Commit these alerts as the producer does, with the cursor at the end of the log."""
        configuration = read_configuration(self.settings)
        (integration,) = configuration.integrations
        folder = folder_of(integration, {}, decode_alert)
        assert folder
        held = {one.id: WRITTEN_MS + 3_600_000 for one in self.lines} if integration.hold else {}
        lines, folds, _ = folder.fold([self.lines[one] for one in numbers], held, self.ledger.now_ms())
        made = Commit(
            node="n",
            expected=self.ledger.cursor("slack", "n"),
            cursor=self.end,
            deliveries=[(f"n:{one.id}", one.raw) for one in lines],
            max_backlog=100,
            max_backlog_bytes=10**7,
            counters={"read": len(numbers)},
            folds=folds,
        )
        self.ledger.commit_all({"slack": made}, {})

    def close(self, after_s: float = 600) -> list[str]:
        """Let time pass and return what is released."""
        self.clock.now_s += after_s
        tasks = self.ledger.release("slack", max_in_flight=100, batch_max=10, lease_s=60, linger_s=0)
        return [one for task in tasks for one in task]

    def deliver(self, *ids: str) -> None:
        """Settle released deliveries, with the facts that a worker takes from their alerts."""
        for one in self.ledger.begin("slack", list(ids), token="w", lease_s=60):
            fields = json.loads(one.alert)
            facts = Facts(alert_id=fields["id"], rule_description=fields["rule"]["description"])
            facts = Facts(
                alert_id=facts.alert_id,
                rule_description=facts.rule_description,
                committed_ms=one.header.committed_ms,
                attempts=1,
            )
            done = Settlement(id=one.id, outcome=SettleOutcome.DELIVERED, header=one.header, facts=encode_facts(facts))
            self.ledger.settle("slack", [done], token="w")

    def about(self, number: int) -> IntegrationReport:
        """Return what is said about an alert and slack."""
        with open_session(self.settings) as session, closing(AlertLog.of(self.settings.producer)) as source:
            state = LedgerState(session, ["slack"], "n")
            explainer = Explainer(self.settings, read_configuration(self.settings), source, state)
            (found,) = explainer.explain(explainer.subject_of(self.lines[number])).integrations
        return found


@pytest.fixture
def open_explained(tmp_path: Path, server: EmbeddedServer, client: redis.Redis) -> Any:
    return lambda table, **more: Explained(tmp_path, server, client, table, **more)


def test_an_open_digest_a_waiting_one_and_a_sent_one(open_explained: Any) -> None:
    told: Explained = open_explained(f"{DIGEST}samples = 0")
    told.fold(0, 1, 2)
    first, second = told.about(0), told.about(1)
    assert first.text.startswith(
        "in an open digest of alerts with rule.id 5712, whose window ended 2026-01-31T08:10:01Z"
    )
    assert first.text.endswith("; it has 3 alerts")
    assert (first.state, first.notes) == ("folded", [])
    assert second.text.startswith(f"probably in an open digest of {OF}, whose window ended 2026-01-31T08:10:01Z")
    assert second.notes == [
        "Redis does not store which alerts a digest has: by group and time, the alert belongs to this one"
    ]
    (digest_id,) = told.close()
    waiting = told.about(2)
    assert waiting.text.startswith(f"in digest {digest_id} of {OF}: released to the queue courier.slack")
    told.deliver(digest_id)
    sent, other = told.about(2), told.about(1)
    assert sent.text.startswith(f"in digest {digest_id} of {OF}: delivered 2")
    assert sent.text.endswith(", after 1 attempt; it has 3 alerts")
    assert (sent.state, sent.outcome, sent.notes) == ("folded", "delivered", [])
    assert other.text.startswith(f"probably in digest {digest_id} of {OF}: delivered 2")
    assert sent.digest
    assert other.digest
    assert (sent.digest.id, sent.digest.group, sent.digest.count) == (digest_id, {"rule.id": "5712"}, 3)
    assert (sent.digest.from_ms, sent.digest.to_ms) == (WRITTEN_MS + 1000, WRITTEN_MS + 601_000)
    assert (sent.digest.certain, other.digest.certain) == (True, False)


def test_an_alert_that_was_delivered_by_itself_is_in_no_digest(open_explained: Any) -> None:
    told: Explained = open_explained(f"{DIGEST}first = 1")
    told.fold(0, 1, 2)
    assert (told.about(0).state, told.about(0).digest) == ("waiting", None)
    told.deliver(*told.close(0))
    assert (told.about(0).state, told.about(0).digest) == ("ended", None)
    assert told.about(1).state == "folded"


def test_fewer_alerts_than_min(open_explained: Any) -> None:
    told: Explained = open_explained(f"{DIGEST}by = []\nmin = 5")
    told.fold(0, 1, 2)
    assert told.close() == []
    found = told.about(1)
    assert found.text == "probably not sent: its window had fewer than 5 alerts (min) of all alerts"
    assert found.state == "below_min"


def test_a_held_alert_is_in_the_digest_of_its_night(open_explained: Any) -> None:
    window = '[windows]\nnight = {from = "20:00", to = "09:00"}\n'
    told: Explained = open_explained(f'{window}[integrations.slack]\nhold = {{in = "night", then = "digest"}}')
    told.fold(0, 1)
    assert told.about(0).text.startswith("in an open digest of all alerts, whose window ended 2026-01-31T09:00:00Z")


def test_an_alert_that_was_read_much_later(open_explained: Any) -> None:
    told: Explained = open_explained(f"{DIGEST}samples = 0")
    told.clock.now_s += 7200
    told.fold(0, 1, 2)
    assert told.about(0).text.startswith("in an open digest")
