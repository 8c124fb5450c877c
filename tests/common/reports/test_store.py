"""Reports of processes: published, fetched, malformed, expired."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.reports.producer import (
    IntegrationLag,
    NodeReport,
    ProducerReport,
    fetch_producer_report,
    fetch_producer_reports,
    publish_producer_report,
)
from common.reports.store import Published, ReportStore
from common.reports.worker import (
    EXPIRE_S,
    WorkerReport,
    delete_worker_reports,
    fetch_all_worker_reports,
    fetch_worker_reports,
    publish_worker_report,
)

if TYPE_CHECKING:
    import redis

STORE = ReportStore("p:", WorkerReport, expire_s=None)


def worker(begun: int = 0) -> WorkerReport:
    return WorkerReport(seen_ms=1, begun=begun, running=0, idle_since_ms=0)


def test_processes_of_one_name_do_not_hide_each_other(client: redis.Redis) -> None:
    publish_worker_report(client, "a@h", "1", worker(1))
    publish_worker_report(client, "a@h", "2", worker(2))
    publish_worker_report(client, "a@h", "1", worker(3))
    publish_worker_report(client, "b@h", "7", worker(4))
    assert fetch_worker_reports(client, "a@h") == {"1": worker(3), "2": worker(2)}
    assert fetch_all_worker_reports(client) == {"a@h/1": worker(3), "a@h/2": worker(2), "b@h": worker(4)}
    delete_worker_reports(client, "a@h", {"2", "gone"})
    assert fetch_worker_reports(client, "a@h") == {"1": worker(3)}
    assert fetch_worker_reports(client, "nobody") == {}


def test_a_worker_expires_and_a_node_never_does(client: redis.Redis) -> None:
    publish_worker_report(client, "a@h", "1", worker())
    publish_producer_report(client, "n", ProducerReport(seen_ms=5), added={})
    assert 0 < client.ttl("courier:worker:a@h") <= EXPIRE_S
    assert client.ttl("courier:node:n") == -1


def test_a_report_is_replaced_and_its_counters_grow(client: redis.Redis) -> None:
    first = ProducerReport(seen_ms=5, config_error="no", lags={"slack": IntegrationLag(lag_bytes=3)})
    publish_producer_report(client, "n", first, added={"lines": 2})
    assert fetch_producer_report(client, "n") == NodeReport("n", first, {"lines": 2})
    second = ProducerReport(seen_ms=6)
    publish_producer_report(client, "n", second, added={"lines": 3, "matched": 1})
    publish_producer_report(client, "m", second, added={})
    assert fetch_producer_reports(client) == [
        NodeReport("m", second, {}),
        NodeReport("n", second, {"lines": 5, "matched": 1}),
    ]


def test_a_node_without_a_report_has_never_been_seen(client: redis.Redis) -> None:
    assert fetch_producer_report(client, "n") == NodeReport("n", ProducerReport(), {})
    client.hset("courier:node:n", mapping={"n:lines": 4, "seen_ms": "5000"})
    assert fetch_producer_report(client, "n") == NodeReport("n", ProducerReport(), {"lines": 4})


def test_a_key_of_another_client_spoils_only_its_report(client: redis.Redis) -> None:
    client.set("courier:worker:a@h", "x")
    publish_worker_report(client, "a@h", "1", worker())
    publish_worker_report(client, "b@h", "1", worker())
    assert fetch_worker_reports(client, "a@h") == {}
    assert fetch_all_worker_reports(client) == {"b@h": worker()}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"seen_ms":"1","begun":0,"running":0,"idle_since_ms":0}',
        b'{"seen_ms":-1,"begun":0,"running":0,"idle_since_ms":0}',
        b'{"seen_ms":1,"begun":0,"running":0,"idle_since_ms":' + b"9" * 400 + b"}",
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_a_malformed_report_is_left_out(value: bytes) -> None:
    good = b'{"seen_ms":1,"begun":2,"running":0,"idle_since_ms":0,"added_later":[1]}'
    assert STORE.decode({b"bad": value, b"good": good, b"n:c": value}).reports == {"good": worker(2)}


@given(st.dictionaries(st.binary(max_size=8), st.binary(max_size=40)))
def test_any_hash_can_be_read(fields: dict[bytes, bytes]) -> None:
    published = STORE.decode(fields)
    assert isinstance(published, Published)
    assert len(published.reports) + len(published.counters) <= len(fields)
