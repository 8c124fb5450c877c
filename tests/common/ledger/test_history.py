from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ledger import (
    Attempt,
    DeadLetter,
    Delivery,
    Facts,
    Header,
    HistoryEntry,
    HistoryOutcome,
    Settlement,
    SettleOutcome,
    UnreadableEntry,
)
from common.ledger.history import encode_facts, read_entry
from common.ledger.keys import history_key, keys_of
from tests.support.fakes import Clock
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable

    import redis

ID = "slack"
KEY = history_key(ID)
ALERT = {
    "id": "1764000000.123",
    "rule": {"id": "5710", "level": 5, "description": "sshd: attempt to login"},
    "agent": {"id": "001", "name": "web-01"},
}
FACTS = Facts("1764000000.123", "5710", 5, "sshd: attempt to login", "001", "web-01", 1, 2, 3, "http@host", 40)


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    return Ledger(client)


def begin(ledger: Ledger, *ids: str, alert: bytes | None = None) -> None:
    """Commit these deliveries, and begin them with the token `w`."""
    text = json.dumps(ALERT).encode() if alert is None else alert
    ledger.commit(
        ID,
        node=ids[0],
        expected="",
        cursor="c",
        deliveries=[(one, text) for one in ids],
        max_backlog=1000,
        max_backlog_bytes=10**7,
    )
    ledger.release(ID, max_in_flight=1000, batch_max=1000, lease_s=60, linger_s=0)
    assert len(ledger.begin(ID, ids, token="w", lease_s=60)) == len(ids)


def settle(ledger: Ledger, *settlements: Settlement) -> None:
    assert ledger.settle(ID, settlements, token="w").count == len(settlements)


def delivered(delivery_id: str, facts: bytes = encode_facts(FACTS)) -> Settlement:
    return Settlement(id=delivery_id, outcome=SettleOutcome.DELIVERED, facts=facts)


def dead(delivery_id: str) -> Settlement:
    header = Header(committed_ms=7, attempts=2, history=(Attempt(9, "timeout"), Attempt(10, "http_4xx")))
    facts = encode_facts(FACTS)
    return Settlement(id=delivery_id, outcome=SettleOutcome.DEAD, reason="http_4xx", header=header, facts=facts)


def entries(ledger: Ledger, *ids: str, **options: Any) -> list[HistoryEntry]:
    found = list(ledger.history(ids or (ID,), **options))
    assert all(isinstance(one, HistoryEntry) for one in found), found
    return [one for one in found if isinstance(one, HistoryEntry)]


def ends(found: Iterable[HistoryEntry]) -> list[tuple[str, str, str]]:
    return [(one.delivery, one.outcome, one.reason) for one in found]


def test_settle_writes_an_entry_for_each_delivery_that_ends(ledger: Ledger) -> None:
    begin(ledger, "a", "b", "c", "d", "e")
    before_ms = ledger.now_ms()
    settle(
        ledger,
        delivered("a"),
        Settlement(id="b", outcome=SettleOutcome.SKIPPED, reason="no_file_hash", facts=encode_facts(FACTS)),
        dead("c"),
        Settlement(id="d", outcome=SettleOutcome.RETRY, reason="timeout", header=Header(committed_ms=1)),
        Settlement(id="e", outcome=SettleOutcome.RETURNED),
    )
    found = entries(ledger)
    assert ends(found) == [("a", "delivered", ""), ("b", "skipped", "no_file_hash"), ("c", "dead", "http_4xx")]
    assert {one.facts for one in found} == {FACTS}
    assert all(before_ms <= one.ended_ms <= ledger.now_ms() for one in found)


def test_late_settlement_writes_no_entry(ledger: Ledger) -> None:
    begin(ledger, "a")
    settle(ledger, delivered("a"))
    assert ledger.settle(ID, [delivered("a")], token="w").count == 0
    assert len(entries(ledger)) == 1


def test_settlement_without_facts_writes_no_entry(ledger: Ledger) -> None:
    begin(ledger, "a", "b")
    settle(ledger, delivered("a", b""), Settlement(id="b", outcome=SettleOutcome.DEAD, header=Header(committed_ms=1)))
    assert entries(ledger) == []


def test_end_of_a_dead_letter_is_an_entry_and_a_replay_is_none(ledger: Ledger) -> None:
    begin(ledger, "a", "b", "c", "d")
    settle(ledger, *map(dead, "abcd"))
    assert ledger.discard(ID, ["a"]) == 1
    assert ledger.move(ID, ["b"], to="teams") == 1
    assert ledger.replay(ID, ["c"]) == 1
    assert ledger.retain(ID, max_age_s=None, max_bytes=0) == 1
    found = entries(ledger)[4:]
    assert ends(found) == [("a", "discarded", ""), ("b", "moved", "teams"), ("d", "expired", "")]
    assert found[0].facts == Facts(
        "1764000000.123", "5710", 5, "sshd: attempt to login", "001", "web-01", 7, 9, 2, "", None
    )
    assert entries(ledger, "teams") == []


def test_bury_and_a_lost_worker_are_entries(client: redis.Redis) -> None:
    clock = Clock()
    ledger = Ledger(client, clock=clock)
    begin(ledger, "a")
    for _ in range(10):
        clock.now_s += 61
        ledger.reap(ID, queued=(), lease_s=60)
        ledger.release(ID, max_in_flight=9, batch_max=9, lease_s=60, linger_s=0)
        ledger.begin(ID, ["a"], token="w", lease_s=60)
    begin(ledger, "b")
    clock.now_s += 61
    ledger.reap(ID, queued=(), lease_s=60)
    ledger.bury(ID, reason="buried")
    found = entries(ledger)
    assert ends(found) == [("a", "dead", "worker_lost"), ("b", "dead", "buried")]
    assert (found[0].facts.attempts, found[0].facts.rule_id) == (10, "5710")


@pytest.mark.parametrize(
    "alert",
    [
        b"",
        b"not JSON",
        b"[]",
        b'{"id":1,"rule":"x","agent":[]}',
        b'{"id":null,"rule":{"id":[],"level":"high","description":{}},"agent":{"name":7}}',
        b"{" * 5000,
        b'{"id":"' + b"x" * 100_000 + b'"}',
    ],
)
def test_malformed_alert_leaves_its_fields_empty(ledger: Ledger, alert: bytes) -> None:
    begin(ledger, "a", alert=alert)
    settle(ledger, dead("a"))
    ledger.discard(ID, ["a"])
    *_, last = entries(ledger)
    assert last.outcome == HistoryOutcome.DISCARDED
    assert last.facts == Facts(committed_ms=7, first_attempt_ms=9, attempts=2)


def test_lua_cuts_long_texts_inside_a_character(ledger: Ledger) -> None:
    begin(ledger, "a", alert=json.dumps({"rule": {"description": "é" * 99 + "x"}}, ensure_ascii=False).encode())
    settle(ledger, dead("a"))
    ledger.discard(ID, ["a"])
    *_, last = entries(ledger)
    assert last.facts.rule_description == "é" * 50


def test_number_of_entries_is_bounded(ledger: Ledger, client: redis.Redis) -> None:
    ledger.trim_history(ID, max_entries=100, max_age_s=60)
    for start in range(0, 1000, 250):
        ids = [str(n) for n in range(start, start + 250)]
        begin(ledger, *ids)
        settle(ledger, *map(delivered, ids))
    assert 100 <= client.xlen(KEY) < 250
    ledger.trim_history(ID, max_entries=100, max_age_s=60)
    assert [one.delivery for one in entries(ledger)] == [str(n) for n in range(900, 1000)]


def test_zero_deletes_the_history_and_writes_no_more(ledger: Ledger) -> None:
    begin(ledger, "a", "b")
    settle(ledger, delivered("a"))
    ledger.trim_history(ID, max_entries=0, max_age_s=60)
    settle(ledger, delivered("b"))
    assert entries(ledger) == []


def test_old_entries_are_deleted(ledger: Ledger, client: redis.Redis) -> None:
    now_ms = ledger.now_ms()
    add(client, f"{now_ms - 61_000}-0", b"old")
    add(client, f"{now_ms - 10_000}-0", b"new")
    ledger.trim_history(ID, max_entries=100, max_age_s=60)
    assert [one.delivery for one in entries(ledger)] == ["new"]


@pytest.mark.parametrize("stored", ["", "many", "-1", "1e99", "nan"])
def test_malformed_maximum_does_not_stop_a_settlement(ledger: Ledger, client: redis.Redis, stored: str) -> None:
    begin(ledger, "a")
    client.hset(keys_of(ID).control, "history_max", stored)
    settle(ledger, delivered("a"))
    assert ledger.status(ID).totals["delivered"] == 1


def test_key_of_the_wrong_type_loses_the_history_and_no_delivery(ledger: Ledger, client: redis.Redis) -> None:
    client.set(KEY, "of another program")
    begin(ledger, "a", "b")
    settle(ledger, delivered("a"), dead("b"))
    ledger.trim_history(ID, max_entries=10, max_age_s=60)
    assert ledger.discard(ID, ["b"]) == 1
    assert ledger.status(ID).damaged == ()
    (found,) = ledger.history([ID])
    assert isinstance(found, UnreadableEntry)
    assert f"DEL {KEY}" in found.problem
    assert ledger.last_history([ID, "teams"], 3) == {ID: [found], "teams": []}
    assert ledger.wait_for_history({ID: "0-0", "teams": "0-0"}, timeout_s=0.01) == {ID: [found]}


def test_entries_of_several_integrations_come_in_the_order_of_time(ledger: Ledger, client: redis.Redis) -> None:
    for n in range(10):
        add(client, f"{100 + n}-0", str(n).encode(), key=history_key("teams") if n % 3 else KEY)
    both = (ID, "teams")
    assert [one.delivery for one in entries(ledger, *both, chunk=2)] == [str(n) for n in range(10)]
    newest = entries(ledger, *both, chunk=2, newest_first=True, since_ms=105)
    assert [one.delivery for one in newest] == ["9", "8", "7", "6", "5"]
    assert [one.position for one in ledger.last_history(both, 1)["teams"]] == ["108-0"]


def test_waiting_returns_what_is_new(ledger: Ledger, client: redis.Redis) -> None:
    add(client, "100-0", b"a")
    positions = {ID: "100-0", "teams": "0-0"}
    began_s = time.monotonic()
    assert ledger.wait_for_history(positions, timeout_s=0.05) == {}
    assert time.monotonic() - began_s >= 0.04
    add(client, "100-1", b"b")
    (found,) = ledger.wait_for_history(positions, timeout_s=5)[ID]
    assert isinstance(found, HistoryEntry)
    assert (found.delivery, found.ended_ms) == ("b", 100)


def test_malformed_entries_are_reported_and_hide_no_other(ledger: Ledger, client: redis.Redis) -> None:
    good = {b"id": b"x", b"outcome": b"dead", b"reason": b"", b"facts": b"[]"}
    bad: list[dict[bytes, bytes]] = [
        {b"a": b"b"},
        good | {b"id": b"x" * 513},
        good | {b"outcome": b"\x1b[2J"},
        good | {b"reason": b"r" * 129},
        good | {b"facts": b"{}"},
        good | {b"facts": b"[7]"},
        good | {b"facts": b'["","",-1]'},
        good | {b"facts": b"[" * 4000},
        good | {b"facts": b'["' + b"x" * 300 + b'"]'},
        good | {b"facts": b'["' + b"x" * 5000 + b'"]'},
    ]
    for fields in bad:
        client.xadd(KEY, dict(fields))  # type: ignore[arg-type]  # redis-py's type is invariant
    client.xadd(KEY, dict(good))  # type: ignore[arg-type]  # as above
    *unreadable, last = ledger.history([ID])
    assert len(unreadable) == len(bad)
    assert all(isinstance(one, UnreadableEntry) and one.problem and "x" * 20 not in one.problem for one in unreadable)
    assert isinstance(last, HistoryEntry)
    assert last.facts == Facts()


@given(st.binary(max_size=30), st.dictionaries(st.sampled_from([b"id", b"outcome", b"reason", b"facts"]), st.binary()))
def test_any_entry_is_read_or_reported(position: bytes, fields: dict[bytes, bytes]) -> None:
    assert isinstance(read_entry(ID, position, fields), HistoryEntry | UnreadableEntry)


def test_entry_takes_about_200_bytes(ledger: Ledger, client: redis.Redis) -> None:
    ids = [f"wazuh-master:0f1e2d3c4b5a6978:{10**9 + 1500 * n}:{n:08x}" for n in range(500)]
    begin(ledger, *ids)
    settle(ledger, *(delivered(one, encode_facts(FACTS)) for one in ids))
    memory: Any = client.memory_usage(KEY, samples=0)
    assert memory / 500 < 250


def test_import_writes_no_entry(ledger: Ledger) -> None:
    ledger.import_dead(ID, [DeadLetter(Delivery("a", Header(committed_ms=1), b"{}"), 5)])
    assert entries(ledger) == []


def add(client: redis.Redis, position: str, delivery: bytes, key: str = KEY) -> None:
    client.xadd(key, {"id": delivery, "outcome": "delivered", "reason": "", "facts": encode_facts(FACTS)}, id=position)
