from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from common.errors import TransportError
from common.ledger import Delivery, Header, Settlement, SettleOutcome
from common.metrics import TABLE, ExposedBy
from common.metrics.labels import attempt_pairs
from common.outcome import Reason
from workers.metrics import WorkerMetrics

NOW_S = 1_769_846_410.0
WRITTEN = "2026-01-31T08:00:00.000+0000"
SLACK = {"integration": "slack"}


@pytest.fixture
def metrics() -> WorkerMetrics:
    metrics = WorkerMetrics(now=lambda: NOW_S)
    metrics.init_series(["slack"])
    return metrics


def value(metrics: WorkerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def delivery(header: Header | None = None, **fields: Any) -> Delivery:
    return Delivery("n:f:1", header or Header(committed_ms=1), json.dumps(fields).encode())


def accepted(metrics: WorkerMetrics) -> tuple[float | None, float | None]:
    name = "courier_delivery_latency_seconds"
    return value(metrics, f"{name}_count", **SLACK), value(metrics, f"{name}_sum", **SLACK)


def test_all_series_of_served_integrations_start_at_zero(metrics: WorkerMetrics) -> None:
    for outcome, reason in attempt_pairs():
        assert value(metrics, "courier_attempts_total", **SLACK, outcome=outcome, reason=reason) == 0
    assert accepted(metrics) == (0, 0)
    assert value(metrics, "courier_request_seconds_count", **SLACK) == 0
    assert value(metrics, "courier_worker_integration_info", **SLACK) == 1


def test_integration_no_longer_served_has_no_info_series(metrics: WorkerMetrics) -> None:
    metrics.init_series(["shuffle"])
    assert value(metrics, "courier_worker_integration_info", **SLACK) is None
    assert value(metrics, "courier_worker_integration_info", integration="shuffle") == 1


def test_attempts_are_counted_and_accepted_alerts_have_a_latency(metrics: WorkerMetrics) -> None:
    metrics.record_attempt(
        "slack", delivery(timestamp=WRITTEN), Settlement(id="n:f:1", outcome=SettleOutcome.DELIVERED)
    )
    metrics.record_attempt(
        "slack", delivery(timestamp=WRITTEN), Settlement(id="n:f:1", outcome=SettleOutcome.RETRY, reason="timeout")
    )
    assert value(metrics, "courier_attempts_total", **SLACK, outcome="delivered", reason="") == 1
    assert value(metrics, "courier_attempts_total", **SLACK, outcome="retry", reason="timeout") == 1
    assert accepted(metrics) == (1, 10)


@pytest.mark.parametrize(
    "late",
    [
        delivery(),
        delivery(timestamp="soon"),
        delivery(Header(committed_ms=1, replays=1), timestamp=WRITTEN),
    ],
    ids=["no time", "no readable time", "replayed"],
)
def test_delivery_without_a_meaningful_latency_has_none(metrics: WorkerMetrics, late: Delivery) -> None:
    metrics.record_attempt("slack", late, Settlement(id=late.id, outcome=SettleOutcome.DELIVERED))
    assert accepted(metrics) == (0, 0)


def test_postponed_delivery_is_not_an_attempt(metrics: WorkerMetrics) -> None:
    metrics.record_attempt(
        "slack", delivery(timestamp=WRITTEN), Settlement(id="n:f:1", outcome=SettleOutcome.POSTPONED)
    )
    assert value(metrics, "courier_attempts_total", **SLACK, outcome="postponed", reason="") is None


def test_latency_is_never_negative(metrics: WorkerMetrics) -> None:
    metrics.record_attempt(
        "slack", delivery(timestamp="2027-01-31T08:00:00.000+0000"), Settlement(id="x", outcome=SettleOutcome.DELIVERED)
    )
    assert accepted(metrics) == (1, 0)


class Wire:
    def __init__(self, response: str | Exception) -> None:
        self.response = response

    async def send(self, call: str) -> str:
        if isinstance(self.response, Exception):
            raise self.response
        return f"{call}: {self.response}"


def test_calls_are_timed_even_if_they_fail(metrics: WorkerMetrics) -> None:
    assert asyncio.run(metrics.wrap_timed("slack", Wire("ok")).send("call")) == "call: ok"
    failing = Wire(TransportError(Reason.CONNECTION_FAILED, "gone"))
    with pytest.raises(TransportError):
        asyncio.run(metrics.wrap_timed("slack", failing).send("call"))
    assert value(metrics, "courier_request_seconds_count", **SLACK) == 2


def test_successful_maintenance_sets_its_timestamp(metrics: WorkerMetrics) -> None:
    assert value(metrics, "courier_worker_maintenance_timestamp_seconds") == 0
    metrics.maintenance_succeeded()
    assert value(metrics, "courier_worker_maintenance_timestamp_seconds") == NOW_S


def test_worker_metrics_match_the_table(metrics: WorkerMetrics) -> None:
    names = {family.name for family in metrics.registry.collect() if family.name.startswith("courier_")}
    assert names == {metric.name for metric in TABLE if metric.exposed_by is ExposedBy.WORKER}


def test_latency_points_to_the_trace_of_its_delivery() -> None:
    metrics = WorkerMetrics(now=lambda: NOW_S, trace_id=lambda integration, one: f"{integration}/{one}")
    metrics.record_attempt(
        "slack", delivery(timestamp=WRITTEN), Settlement(id="n:f:1", outcome=SettleOutcome.DELIVERED)
    )
    assert '# {trace_id="slack/n:f:1"}' in openmetrics.generate_latest(metrics.registry).decode()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
    assert "trace_id" not in generate_latest(metrics.registry).decode()
