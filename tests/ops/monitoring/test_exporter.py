from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import common.ledger as ledger_room
from common.connection.client import connect
from common.ledger import Commit, Header, Settlement, SettleOutcome
from common.ledger.keys import keys_with_cursor, limit_keys
from common.ledger.limits import Breaker, Limits
from common.ledger.record import Attempt
from common.metrics import TABLE, ExposedBy
from common.metrics.labels import ledger_pairs
from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report
from ops.monitoring.exporter import LedgerCollector
from ops.monitoring.metric_families import MAX_UNKNOWN_REASONS
from ops.monitoring.snapshot import take_snapshot
from ops.standalone.embedded_redis import free_port
from producer.filters.decode import FilterField
from producer.metrics import REJECT_REASONS
from tests.support.ledger import Ledger
from tests.support.processes import Courier
from tests.support.recorder import eventually
from tests.support.round_trips import counted_round_trips
from tests.support.tools import needs, run

SECRET = "https://hooks.example/services/T0/B0/secret"
LIMITS: Any = {"max_backlog": 100, "max_backlog_bytes": 10**6}

if TYPE_CHECKING:
    import redis


@pytest.fixture
def registry(client: redis.Redis) -> CollectorRegistry:
    client.hset("courier:integrations", mapping={"slack": SECRET, "version": 1})
    return registered(client)


def registered(client: redis.Redis) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(client))
    return registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def commit(ledger: Ledger, *ids: str) -> None:
    held = ledger.cursor("slack", "n")
    alerts = [(one, json.dumps({"id": one}).encode()) for one in ids]
    ledger.commit("slack", node="n", expected=held, cursor=ids[-1], deliveries=alerts, **LIMITS)


def settle(ledger: Ledger, outcome: str, reason: str = "") -> None:
    (task,) = ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0)
    (begun,) = ledger.begin("slack", task, token="w", lease_s=60)
    header = Header(committed_ms=begun.header.committed_ms, attempts=1, history=(Attempt(1, reason, ""),))
    settlement = Settlement(id=begun.id, outcome=SettleOutcome(outcome), reason=reason, delay_ms=60_000, header=header)
    ledger.settle("slack", [settlement], token="w")


def test_empty_ledger_exposes_every_series_at_zero(registry: CollectorRegistry) -> None:
    for integration in ("slack", "manager"):
        for outcome, reason in ledger_pairs():
            labels = {"integration": integration, "outcome": outcome, "reason": reason}
            assert value(registry, "courier_deliveries_total", **labels) == 0
        for metric in TABLE:
            if metric.exposed_by is ExposedBy.EXPORTER and metric.labels == ("integration",):
                assert value(registry, metric.full_name, integration=integration) == 0, metric.name
    assert value(registry, "courier_up") == 1
    assert value(registry, "courier_redis_durable") == 1
    assert value(registry, "courier_redis_evicts") == 0


def test_metrics_follow_the_ledger(registry: CollectorRegistry, client: redis.Redis) -> None:
    start_s = 1_700_000_000.0
    clock = iter([start_s] * 1000)
    ledger = Ledger(client, clock=lambda: next(clock))
    commit(ledger, "a", "b", "c", "d", "e")
    client.hset("courier:{slack}:totals", "excepted", 6)
    settle(ledger, "delivered")
    settle(ledger, "skipped", "no_file_hash")
    settle(ledger, "retry", "timeout")
    settle(ledger, "dead", "unauthorized")
    counted = {
        tuple(sample.labels.values())[1:]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "courier_deliveries_total" and sample.value
    }
    assert counted == {
        ("delivered", ""): 1,
        ("skipped", "no_file_hash"): 1,
        ("retried", "timeout"): 1,
        ("dead", "unauthorized"): 1,
    }
    slack = {"integration": "slack"}
    assert value(registry, "courier_committed_total", **slack) == 5
    assert value(registry, "courier_excepted_total", **slack) == 6
    assert value(registry, "courier_unaccounted_alerts", **slack) == -6  # the counter of this test
    assert value(registry, "courier_unaccounted_deliveries", **slack) == 0
    assert [value(registry, f"courier_{state}", **slack) for state in ("waiting", "released", "dead")] == [2, 0, 1]
    assert value(registry, "courier_backlog_bytes", **slack)
    now_s = redis_time_s(client)
    for name in ("courier_oldest_delivery_age_seconds", "courier_overdue_seconds"):
        assert value(registry, name, **slack) == pytest.approx(now_s - start_s, abs=5)


def test_every_outcome_and_reason_of_the_totals_is_exposed(registry: CollectorRegistry, client: redis.Redis) -> None:
    pairs = {pair: number for number, pair in enumerate(ledger_pairs(), start=1)}
    client.hset("courier:{slack}:totals", mapping={":".join(filter(None, pair)): n for pair, n in pairs.items()})
    for (outcome, reason), number in pairs.items():
        labels = {"integration": "slack", "outcome": outcome, "reason": reason}
        assert value(registry, "courier_deliveries_total", **labels) == number


def test_forged_reasons_do_not_add_any_number_of_series(registry: CollectorRegistry, client: redis.Redis) -> None:
    forged = [f"dead:forged_{n}" for n in range(500)] + ["dead:two\nlines", f"dead:{'x' * 1000}"]
    client.hset("courier:{slack}:totals", mapping=dict.fromkeys(["dead:gone", *forged], 1))
    line = re.compile(r'courier_deliveries_total\{integration="slack",outcome="dead",reason="(.*)"\} ([0-9]+)')
    counted = {reason: int(count) for reason, count in line.findall(generate_latest(registry).decode())}
    assert counted["gone"] == 1
    assert sum("forged" in reason for reason in counted) == MAX_UNKNOWN_REASONS
    assert counted["other"] == len(forged) - MAX_UNKNOWN_REASONS
    assert not {"two\\nlines", "x" * 1000} & counted.keys()


def test_every_counter_of_the_lua_scripts_is_in_the_table() -> None:
    scripts = [path.read_text() for path in Path(ledger_room.__file__).parent.glob("*.lua")]
    counted = {name for script in scripts for name in re.findall(r"\bcount\('(\w+)'", script)}
    of_their_own = {
        *("read", "not_matched", "silenced", "enqueued", "already_queued"),
        *("committed", "excepted", "bytes", "dead_bytes", "breaker_opened", "target_paused"),
    }
    of_their_own |= {"folded", "digests", "below_min"}
    not_shown = {"breaker_closed", "clock_set_back", "digested"}
    assert counted <= {outcome for outcome, _ in ledger_pairs()} | of_their_own | not_shown


def redis_time_s(client: redis.Redis) -> int:
    seconds, _ = client.time()
    return int(seconds)


def test_delivery_that_backs_off_is_not_overdue(registry: CollectorRegistry, client: redis.Redis) -> None:
    ledger = Ledger(client)
    commit(ledger, "a")
    settle(ledger, "retry", "timeout")
    assert value(registry, "courier_overdue_seconds", integration="slack") == 0
    assert value(registry, "courier_waiting", integration="slack") == 1


def test_held_deliveries_are_counted_and_have_no_age(registry: CollectorRegistry, client: redis.Redis) -> None:
    ledger = Ledger(client)
    until_ms = ledger.now_ms() + 3_600_000
    terms = Commit(
        node="n",
        expected="",
        cursor="c",
        deliveries=[("a", b"{}"), ("b", b"{}")],
        max_backlog=9,
        max_backlog_bytes=999,
        held_until_ms={"a": until_ms, "b": until_ms},
    )
    ledger.commit_all({"slack": terms}, {})
    values = [
        value(registry, f"courier_{name}", integration="slack") for name in ("held", "waiting", "overdue_seconds")
    ]
    assert values == [2, 2, 0]
    assert value(registry, "courier_oldest_delivery_age_seconds", integration="slack") == 0
    assert value(registry, "courier_held", integration="manager") == 0


def test_released_delivery_still_has_an_age(registry: CollectorRegistry, client: redis.Redis) -> None:
    ledger = Ledger(client, clock=lambda: 1_700_000_000.0)
    commit(ledger, "a")
    ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0)
    assert value(registry, "courier_waiting", integration="slack") == 0
    assert (value(registry, "courier_oldest_delivery_age_seconds", integration="slack") or 0) > 1000


def test_breaker_and_pauses_are_exposed(registry: CollectorRegistry, client: redis.Redis) -> None:
    ledger = Ledger(client)
    commit(ledger, "a", "b")
    pace = Limits(target="digest", breaker=Breaker(failures=1))
    task = ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0, limits=pace)[0]
    ledger.begin("slack", task, token="w", lease_s=60, limits=pace)
    header = Header(committed_ms=1, attempts=1, history=(Attempt(1, "http_5xx", ""),))
    refused = Settlement(
        id=task[0], outcome=SettleOutcome.RETRY, reason="http_5xx", delay_ms=1, pause_ms=60_000, header=header
    )
    ledger.settle("slack", [refused], token="w", limits=pace)
    ledger.pause("slack")
    slack = {"integration": "slack"}
    assert value(registry, "courier_breaker_open", **slack) == 1
    assert value(registry, "courier_breaker_opened_total", **slack) == 1
    assert value(registry, "courier_paused", **slack) == 1
    assert value(registry, "courier_target_pauses_total", **slack) == 1
    assert 50 < (value(registry, "courier_target_pause_remaining_seconds", **slack) or 0) <= 60
    assert value(registry, "courier_target_pause_remaining_seconds", integration="manager") == 0


def test_producer_reports_are_exposed(registry: CollectorRegistry, client: redis.Redis) -> None:
    lag = IntegrationLag(lag_bytes=7, lag_s=1.5, backpressured=True, max_backlog=10, max_backlog_bytes=99)
    report = ProducerReport(
        seen_ms=5000,
        config_digest=2**48 - 1,
        config_loaded_ms=3000,
        config_error="refused",
        intake_paused="Redis is full",
        lags={"slack": lag},
    )
    added = {"lines": 9, "matched": 4, "bad:no_rule": 2, "wrong_type:level": 3, "foreign:cursor": 2}
    publish_producer_report(client, "wazuh-1", report, added=added)
    expected = {
        "courier_producer_report_timestamp_seconds": 5,
        "courier_lines_total": 9,
        "courier_matched_total": 4,
        "courier_config_hash": 2**48 - 1,
        "courier_config_loaded_timestamp_seconds": 3,
        "courier_config_ok": 0,
        "courier_intake_paused": 1,
    }
    for name, wanted in expected.items():
        assert value(registry, name, node="wazuh-1") == wanted, name
    for what, number in (("cursor", 2), ("registry", 0)):
        assert value(registry, "courier_foreign_writes_total", node="wazuh-1", what=what) == number
    for reason in REJECT_REASONS:
        labels = {"node": "wazuh-1", "reason": reason}
        assert value(registry, "courier_lines_rejected_total", **labels) == (2 if reason == "no_rule" else 0)
    for field in FilterField:
        labels = {"node": "wazuh-1", "field": field}
        assert value(registry, "courier_field_type_errors_total", **labels) == (3 if field == "level" else 0)
    both = {"integration": "slack", "node": "wazuh-1"}
    lags = {"lag_bytes": 7, "lag_seconds": 1.5}
    assert {name: value(registry, f"courier_reader_{name}", **both) for name in lags} == lags
    assert value(registry, "courier_backpressure", **both) == 1
    assert value(registry, "courier_backlog_limit", **both) == 10
    assert value(registry, "courier_backlog_limit_bytes", **both) == 99


def test_report_of_another_version_does_not_break_a_scrape(registry: CollectorRegistry, client: redis.Redis) -> None:
    client.hset("courier:node:old", mapping={"n:lines": 1, "report": '{"lags": {"slack": []}}', "seen_ms": "soon"})
    assert value(registry, "courier_lines_total", node="old") == 1
    assert value(registry, "courier_producer_report_timestamp_seconds", node="old") == 0


def test_exporter_exposes_exactly_the_metrics_of_the_table(registry: CollectorRegistry, client: redis.Redis) -> None:
    publish_producer_report(client, "n", ProducerReport(lags={"slack": IntegrationLag()}), added={})
    shown = {s.name: tuple(s.labels) for family in registry.collect() for s in family.samples}
    assert shown == {m.full_name: m.labels for m in TABLE if m.exposed_by is ExposedBy.EXPORTER}


def test_redis_down_exposes_only_up_and_logs_once(caplog: pytest.LogCaptureFixture) -> None:
    with connect(f"redis://:{'s3cret'}@127.0.0.1:{free_port()}/0") as client:
        registry = registered(client)
        for _ in range(2):
            assert value(registry, "courier_up") == 0
        names = {sample.name for family in registry.collect() for sample in family.samples}
    assert names == {"courier_up", "courier_scrape_duration_seconds"}
    (said,) = caplog.messages
    assert "courier_up is 0" in said
    assert "s3cret" not in said


def test_exporter_logs_at_its_start_that_redis_is_unavailable(tmp_path: Path) -> None:
    url = {"COURIER_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with Courier(tmp_path, "exporter", "--metrics-port", str(free_port()), **url) as exporter:
        eventually(lambda: "courier_up is 0" in exporter.log)  # without a scrape


def test_scrape_of_100_integrations_takes_few_round_trips(client: redis.Redis) -> None:
    client.hset("courier:integrations", mapping={f"custom-{n}": "sealed" for n in range(100)})
    with counted_round_trips() as trips:
        assert len(take_snapshot(client).integrations) == 101
    assert trips() == 3
    registry = registered(client)
    with counted_round_trips() as trips:
        assert value(registry, "courier_up") == 1
    assert trips() <= 5


def test_damage_of_any_key_of_an_integration_is_exposed(registry: CollectorRegistry, client: redis.Redis) -> None:
    keys = [*keys_with_cursor("slack"), *limit_keys("slack")]
    for key in keys:
        client.set(key, "x")
    assert value(registry, "courier_ledger_damaged_keys", integration="slack") == len(keys)
    assert value(registry, "courier_ledger_damaged_keys", integration="manager") == 0
    for what in ("alerts", "deliveries"):
        assert value(registry, f"courier_unaccounted_{what}", integration="slack") is None, "its numbers are unknown"
        assert value(registry, f"courier_unaccounted_{what}", integration="manager") == 0


def test_scrape_holds_no_secret(registry: CollectorRegistry) -> None:
    assert SECRET.encode() not in generate_latest(registry)


@needs("promtool", "prometheus")
def test_promtool_accepts_the_metrics(registry: CollectorRegistry, client: redis.Redis) -> None:
    publish_producer_report(client, "n", ProducerReport(lags={"slack": IntegrationLag()}), added={})
    assert run("promtool", "check", "metrics", text=generate_latest(registry)).stdout == ""
