from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.errors import LedgerUnavailable
from common.metrics import TABLE, ExposedBy
from common.reports.producer import IntegrationLag, fetch_producer_reports
from producer.metrics import REJECT_REASONS, ProducerMetrics
from tests.support.ledger import Ledger
from tests.support.world import SLACK_BLOCK, World, alert

if TYPE_CHECKING:
    import redis

    from tests.producer.conftest import NewWorld


def value(metrics: ProducerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"courier_producer_{name}", labels)


@pytest.fixture
def metrics() -> ProducerMetrics:
    return ProducerMetrics(now=lambda: 50.0)


def test_every_reason_is_exported_with_zero(metrics: ProducerMetrics) -> None:
    assert all(value(metrics, "lines_rejected_total", reason=reason) == 0 for reason in REJECT_REASONS)
    names = {family.name for family in metrics.registry.collect() if family.name.startswith("courier_")}
    assert names == {metric.name for metric in TABLE if metric.exposed_by is ExposedBy.PRODUCER}


def test_counts_add_up_and_lags_are_replaced(metrics: ProducerMetrics) -> None:
    counts = {"lines": 3, "matched": 2, "bad:no_rule": 1, "wrong_type:level": 1, "excepted:slack": 4}
    metrics.record(counts, {"slack": IntegrationLag(lag_bytes=9, lag_s=2.5)}, config_ok=False)
    metrics.record(counts, {"shuffle": IntegrationLag()}, config_ok=True)
    assert [value(metrics, f"{name}_total") for name in ("lines", "matched")] == [6, 4]
    assert value(metrics, "lines_rejected_total", reason="no_rule") == 2
    assert value(metrics, "field_type_errors_total", field="level") == 2
    assert value(metrics, "field_type_errors_total", field="location") == 0
    assert value(metrics, "excepted_total", integration="slack") == 8
    assert value(metrics, "excepted_total", integration="shuffle") == 0
    assert value(metrics, "reader_lag_bytes", integration="slack") is None
    assert value(metrics, "reader_lag_bytes", integration="shuffle") == 0
    assert value(metrics, "config_ok") == 1


def test_report_contains_lag_limits_and_configuration(client: redis.Redis, new_world: NewWorld) -> None:
    world = new_world(max_backlog=2)
    producer = world.producer()
    world.settle(producer)
    world.append(*(alert(n) for n in range(5)))
    world.settle(producer)
    world.settle(producer)
    ((_, report, _),) = fetch_producer_reports(client)
    lag = world.source.lag(world.cursor())
    assert lag.size_bytes > 0
    reading = report.lags["slack"]
    assert (reading.backpressured, reading.max_backlog) == (True, 2)
    assert (reading.lag_bytes, reading.lag_s) == (lag.size_bytes, lag.age_s)
    assert 0 < report.config_digest < 2**48
    assert report.config_loaded_ms > 0


def test_digest_is_of_the_active_configuration(client: redis.Redis, world: World) -> None:
    producer = world.producer()

    def digest() -> tuple[int, bool]:
        world.settle(producer)
        world.settle(producer)
        ((_, report, _),) = fetch_producer_reports(client)
        return report.config_digest, bool(report.config_error)

    first = digest()
    world.write("<integration><name>slack</name></integration>", SLACK_BLOCK.format(""))
    assert digest() == (first[0], True)
    world.write(SLACK_BLOCK.format("<level>3</level>"))
    changed = digest()
    assert changed[0] != first[0]
    assert not changed[1]


class Flaky(Ledger):
    """A ledger that a test can make unavailable."""

    away = False

    def check_server(self) -> list[str]:
        if self.away:
            raise LedgerUnavailable("Redis cannot be reached")
        return super().check_server()


def test_metric_redis_up_is_zero_while_redis_is_unavailable(
    client: redis.Redis, world: World, metrics: ProducerMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ledger = ledger = Flaky(client)
    ledger.away = True
    producer = world.producer()
    producer._metrics = metrics
    seen: list[float | None] = []

    def wait(_seconds: float) -> None:
        seen.append(value(metrics, "redis_up"))
        ledger.away = False

    monkeypatch.setattr(world.source, "wait", wait)
    producer.run(wait, lambda: len(seen) >= 2)
    assert seen[:2] == [0, 1]
    assert value(metrics, "loop_timestamp_seconds") == 50
