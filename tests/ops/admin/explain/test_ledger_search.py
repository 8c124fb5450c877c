"""Alerts that only Redis knows: by an id, without a log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from common.ledger import Facts, Header
from common.ledger.history import encode_facts
from common.ledger.keys import history_key
from common.ledger.record import Delivery
from common.ledger.types import DeadLetter
from common.settings.load import load_settings
from ops.admin.explain import ledger
from ops.admin.explain.ledger import LedgerState
from ops.admin.explain.ledger_search import MAX_SUBJECTS, find_in_ledger
from ops.admin.session import LedgerSession, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

START_MS = 1_769_846_400_000
DELIVERY = "wazuh-1:697db680ad2e59a3769a:0000000137:c48df40c"


@pytest.fixture
def session(tmp_path: Path, server: EmbeddedServer, client: redis.Redis) -> Iterator[LedgerSession]:
    client.hset("courier:integrations", mapping={"slack": "1", "version": "1"})
    settings = load_settings(file=None, environment={}, cwd=tmp_path, overrides={"redis.url": server.url})
    with open_session(settings) as opened:
        yield opened


def hold(session: LedgerSession, *ids: str, alert: object) -> None:
    raw = json.dumps(alert).encode()
    letters = [DeadLetter(Delivery(one, Header(committed_ms=START_MS), raw), START_MS) for one in ids]
    session.ledger.import_dead("slack", letters)


def end(session: LedgerSession, delivery: str, ended_ms: int, alert_id: str = "1769846400.1") -> None:
    fields = {"id": delivery, "outcome": "delivered", "reason": "", "facts": encode_facts(Facts(alert_id))}
    session.client.xadd(history_key("slack"), fields, id=f"{ended_ms}-*")  # type: ignore[arg-type]  # a dict is invariant


def test_the_id_must_be_that_of_the_alert_not_only_somewhere_in_it(session: LedgerSession) -> None:
    hold(session, "d-1", alert={"id": "1769846400.1"})
    hold(session, "d-2", alert={"id": "1769846400.12", "full_log": "1769846400.1"})
    hold(session, "d-3", alert="1769846400.1")
    found = find_in_ledger(LedgerState(session, [], "n"), "1769846400.1")
    assert [one.delivery for one in found] == ["d-1"]


def test_deliveries_of_one_alert_are_one_subject(session: LedgerSession) -> None:
    end(session, DELIVERY, START_MS + 1)
    end(session, f"{DELIVERY}+fallback:slack", START_MS + 2)
    (one,) = find_in_ledger(LedgerState(session, [], "n"), "1769846400.1")
    assert (one.delivery, one.node, one.raw) == (DELIVERY, "wazuh-1", b"")
    assert one.written_s == START_MS / 1000
    (same,) = find_in_ledger(LedgerState(session, [], "n"), DELIVERY)
    assert same.delivery == DELIVERY


def test_what_was_not_searched_is_noted(session: LedgerSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_RECORDS", 1)
    hold(session, *(f"d-{n}" for n in range(2)), alert={"id": "1"})
    for number in range(3):
        end(session, f"e-{number}", START_MS + number)
    state = LedgerState(session, [], "n", max_history=2)
    assert len(find_in_ledger(state, "1769846400.1")) == 2
    assert sorted(state.limits) == [
        "only the first 1 queued deliveries were searched for this id",
        "only the first 2 entries of the history were searched",
    ]


def test_many_alerts_with_one_id_are_cut(session: LedgerSession) -> None:
    hold(session, *(f"d-{n}" for n in range(20)), alert={"id": "1769846400.1"})
    assert len(find_in_ledger(LedgerState(session, [], "n"), "1769846400.1")) == MAX_SUBJECTS
