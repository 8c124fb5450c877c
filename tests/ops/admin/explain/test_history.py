"""What a history of ended deliveries adds to the answer; entries are written as workers write them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from common.ledger.history import Facts, encode_facts
from common.ledger.keys import history_key
from common.settings.load import load_settings
from common.timestamps import written_at_s
from ops.admin.explain import Explainer, Missing
from ops.admin.explain.ledger import LedgerState
from ops.admin.session import open_session
from producer.alertlog import AlertLog
from producer.configuration import read_configuration
from tests.support.processes import alert

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from common.settings.load import Settings
    from ops.admin.explain.model import IntegrationReport
    from ops.standalone.embedded_redis import EmbeddedServer

WRITTEN_MS = round(1000 * (written_at_s(alert(0)) or 0))


class Entry(NamedTuple):
    """An entry of the history; the ids of deliveries begin with that of the alert, written `ID`."""

    delivery: str
    ended_ms: int = WRITTEN_MS + 5000
    outcome: str = "delivered"
    reason: str = ""


@pytest.fixture
def settings(tmp_path: Path, server: EmbeddedServer, client: redis.Redis) -> Settings:
    (tmp_path / "alerts.json").write_bytes(alert(0))
    (tmp_path / "ossec.conf").write_text(
        "<ossec_config><integration><name>slack</name><hook_url>https://h.example/a</hook_url></integration>"
        "</ossec_config>"
    )
    names = {
        "producer.config": str(tmp_path / "ossec.conf"),
        "producer.alerts": str(tmp_path / "alerts.json"),
        "producer.node": "wazuh-1",
        "redis.url": server.url,
    }
    client.hset("courier:{slack}:totals", "delivered", 9)
    with closing(AlertLog(tmp_path / "alerts.json", max_line_bytes=10**6)) as log:
        client.hset("courier:{slack}:cursor", "wazuh-1", log.end())
    return load_settings(file=None, environment={}, cwd=tmp_path, overrides=names)


def explained(settings: Settings, client: redis.Redis, *entries: Entry) -> IntegrationReport:
    with open_session(settings) as session, closing(AlertLog.of(settings.producer)) as source:
        explainer = Explainer(settings, read_configuration(settings), source, None)
        (subject,) = explainer.last(1)
        for one in entries:
            facts = encode_facts(Facts(attempts=2))  # without the alert's id, as for an alert whose id is no text
            delivery = one.delivery.replace("ID", subject.delivery)
            fields = {"id": delivery, "outcome": one.outcome, "reason": one.reason, "facts": facts}
            client.xadd(history_key("slack"), fields, id=f"{one.ended_ms}-*")  # type: ignore[arg-type]  # a dict is invariant
        state = LedgerState(session, ["slack"], "wazuh-1")
        (found,) = Explainer(settings, read_configuration(settings), source, state).explain(subject).integrations
    return found


def test_end_of_the_delivery_is_told(settings: Settings, client: redis.Redis) -> None:
    found = explained(settings, client, Entry("ID"))
    assert (found.state, found.outcome) == ("ended", "delivered")
    assert found.text.startswith("delivered 2026-01-31T08:00:05Z (")
    assert found.text.endswith(", after 2 attempts")
    assert found.notes == []


def test_earlier_ends_and_fallbacks_are_notes(settings: Settings, client: redis.Redis) -> None:
    died = Entry("ID", outcome="dead", reason="http_4xx")
    fallback = Entry("ID+fallback:shuffle", ended_ms=WRITTEN_MS + 9500)
    found = explained(settings, client, died, Entry("ID", ended_ms=WRITTEN_MS + 9000), fallback)
    assert found.text.startswith("delivered 2026-01-31T08:00:09Z")
    assert [note.partition(" 2026")[0] for note in found.notes] == [
        "dead (http_4xx)",
        "as the fallback of shuffle: delivered",
    ]


def test_another_delivery_of_the_same_alert_id_is_not_this_one(settings: Settings, client: redis.Redis) -> None:
    found = explained(settings, client, Entry("wazuh-2:x"))
    assert found.state == "ended"
    assert found.text.startswith(
        "delivered, skipped or deleted: it ended before the history begins, 2026-01-31T08:00:05Z"
    )


def test_alert_that_a_complete_history_does_not_have_was_never_enqueued(
    settings: Settings, client: redis.Redis
) -> None:
    found = explained(settings, client, Entry("wazuh-1:older", ended_ms=WRITTEN_MS - 1))
    assert found.state == "not_enqueued"


def test_alert_of_before_the_first_delivery_was_never_enqueued(settings: Settings, client: redis.Redis) -> None:
    client.hset("courier:{slack}:totals", mapping={"delivered": 1, "skipped": 1})
    ends = Entry("wazuh-1:a"), Entry("wazuh-1:b", outcome="skipped")
    assert explained(settings, client, *ends).state == "not_enqueued"
    client.hincrby("courier:{slack}:totals", "delivered", 1)  # whose entry was deleted since
    assert explained(settings, client).state == "ended"


def test_an_alert_that_only_the_history_knows_is_of_a_configured_integration(
    settings: Settings, client: redis.Redis
) -> None:
    fields = {"id": "test:1", "outcome": "delivered", "reason": "", "facts": encode_facts(Facts(attempts=1))}
    client.xadd(history_key("slack"), fields)  # type: ignore[arg-type]  # a dict is invariant
    with open_session(settings) as session, closing(AlertLog.of(settings.producer)) as source:
        state = LedgerState(session, ["slack"], "wazuh-1")
        explainer = Explainer(settings, read_configuration(settings), source, state)
        found = explainer.find("test:1")
        assert not isinstance(found, Missing)
        (report,) = explainer.explain(found[0]).integrations
    assert (report.configured, report.matches, report.outcome) == (True, None, "delivered")
    assert report.where.endswith("ossec.conf:1")
