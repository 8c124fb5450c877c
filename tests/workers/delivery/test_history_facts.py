from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ledger import Attempt, Delivery, Facts, Header, Settlement, SettleOutcome
from workers.delivery.history_facts import facts_of

DELIVERED = Settlement(id="d", outcome=SettleOutcome.DELIVERED)
WHOLE = {
    "id": "1.2",
    "rule": {"id": "5710", "level": 5, "description": "sshd"},
    "agent": {"id": "001", "name": "web01"},
    "data": [{"deep": [1.5, None]}],
}
OF_DELIVERY: dict[str, Any] = {
    "committed_ms": 1, "first_attempt_ms": 5, "attempts": 1, "worker": "w@h", "attempt_ms": 40
}  # fmt: skip
D = {"rule_description": "d"}
SHORT = Header(committed_ms=1)


def facts(alert: bytes, settlement: Settlement = DELIVERED, header: Header = SHORT) -> Facts:
    delivery = Delivery("d", header, alert, begun_ms=5)
    return msgspec.json.decode(facts_of(delivery, settlement, worker="w@h", attempt_ms=40), type=Facts)


def of_alert(**fields: Any) -> Facts:
    return Facts(**OF_DELIVERY, **fields)


def test_facts_of_an_alert() -> None:
    expected = of_alert(
        alert_id="1.2", rule_id="5710", rule_level=5, rule_description="sshd", agent_id="001", agent_name="web01"
    )
    assert facts(json.dumps(WHOLE).encode()) == expected


@pytest.mark.parametrize(
    ("alert", "fields"),
    [
        (b"", {}),
        (b"\xff", {}),
        (b"[1]", {}),
        (b"[" * 100_000, {}),
        (b'{"x":' * 100_000, {}),
        (b'{"id":"1","rule":{"level":"5","id":7,"description":"d"},"agent":"a"}', {"alert_id": "1"} | D),
        (b'{"id":null,"rule":null,"agent":{"id":null,"name":"a"}}', {"agent_name": "a"}),
        (b'{"rule":{"level":true}}', {}),
        (b'{"rule":{"level":5.5}}', {}),
        (b'{"rule":{"level":-1,"id":"1"}}', {"rule_id": "1"}),
        (b'{"rule":{"level":99999999999999999999999,"id":"1"}}', {"rule_id": "1"}),
        (b'{"id":"\xff"}', {"alert_id": "\ufffd"}),
        (b'{"id":"\\ud800"}', {"alert_id": "?"}),
        (b'{"id":"a","id":"b"}', {"alert_id": "b"}),
    ],
)  # fmt: skip
def test_malformed_alert_never_fails(alert: bytes, fields: dict[str, Any]) -> None:
    assert facts(alert) == of_alert(**fields)


@given(st.binary())
def test_any_bytes_have_facts(alert: bytes) -> None:
    assert facts(alert).committed_ms == 1


def test_texts_are_cut() -> None:
    long = "é" * 1000
    found = facts(json.dumps({"id": long, "rule": {"id": long, "description": long}, "agent": {"name": long}}).encode())
    assert [len(one) for one in (found.alert_id, found.rule_id, found.rule_description, found.agent_name)] == [
        64,
        32,
        100,
        64,
    ]


def test_first_attempt_and_attempts_of_a_delivery_that_failed_before() -> None:
    header = Header(committed_ms=1, attempts=2, history=(Attempt(3, "timeout"), Attempt(4, "timeout")))
    assert (facts(b"{}", header=header).first_attempt_ms, facts(b"{}", header=header).attempts) == (3, 3)
    dead = Settlement(id="d", outcome=SettleOutcome.DEAD, header=msgspec.structs.replace(header, attempts=3))
    assert facts(b"{}", dead, header).attempts == 3


def test_attempt_that_contacted_nobody_has_no_duration() -> None:
    skipped = Settlement(id="d", outcome=SettleOutcome.SKIPPED, contacted=False)
    assert facts(b"{}", skipped).attempt_ms is None
