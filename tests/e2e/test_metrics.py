"""The metrics of producer, worker and exporter as processes, read in the same way as by Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from common.metrics import TABLE
from ops.standalone.embedded_redis import free_port, is_free
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """One metrics endpoint; each call reads it again."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/metrics"

    def samples(self) -> Samples:
        with urlopen(self.url, timeout=10) as answer:
            text = answer.read().decode()
        families = text_string_to_metric_families(text)
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    def value(self, name: str, **labels: str) -> float | None:
        try:
            return self.samples().get((name, frozenset(labels.items())))
        except OSError:
            return None


def test_every_process_exposes_its_metrics_and_the_counts_agree(server: EmbeddedServer, tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("producer", "worker", "exporter")}
    with server.client() as client:
        client.flushall()
    environment = {"COURIER_REDIS_URL": server.url, "COURIER_STATE_DIR": str(tmp_path / "state")}
    (tmp_path / "state").mkdir()
    with Recorder() as target:
        manager = Manager(tmp_path, target)

        def start(name: str, *arguments: str) -> Courier:
            port = {"COURIER_METRICS_PORT": str(ports[name])}
            return Courier(tmp_path, name, *arguments, **environment, **port)

        producer, worker, exporter = (Scrape(port) for port in ports.values())
        with (
            start("producer", *manager.files(), "--node", "wazuh-1"),
            start("worker"),
            start("exporter"),
        ):
            slack = {"integration": "slack"}
            eventually(lambda: worker.value("courier_worker_integration_info", **slack) == 1)
            assert worker.value("courier_attempts_total", **slack, outcome="dead", reason="unauthorized") == 0
            manager.append(20)
            delivered = {**slack, "outcome": "delivered", "reason": ""}
            eventually(lambda: exporter.value("courier_deliveries_total", **delivered) == 20)
            assert worker.value("courier_attempts_total", **delivered) == 20
            assert worker.value("courier_request_seconds_count", **slack) == 20
            assert worker.value("courier_delivery_latency_seconds_count", **slack) == 20
            eventually(lambda: exporter.value("courier_lines_total", node="wazuh-1") == 20)
            eventually(lambda: producer.value("courier_producer_matched_total") == 20)
            eventually(lambda: exporter.value("courier_reader_lag_bytes", **slack, node="wazuh-1") == 0)
            eventually(lambda: worker.value("courier_worker_maintenance_timestamp_seconds"))
            assert producer.value("courier_producer_redis_up") == 1
            assert exporter.value("courier_config_ok", node="wazuh-1") == 1
            assert len(target.ids) == 20
            shown = {name for scrape in (producer, worker, exporter) for name, _ in scrape.samples()}
            bare = {name for name in shown if name.startswith("courier_")}
    endings = ("", "_bucket", "_sum", "_count")
    assert bare <= {metric.full_name + ending for metric in TABLE for ending in endings}
    assert {metric.name for metric in TABLE if metric.type == "histogram"} <= {n.removesuffix("_sum") for n in bare}


def test_courier_up_gives_each_process_its_own_metrics_port(tmp_path: Path) -> None:
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        first = next(port for port in range(20_000, 30_000, 10) if all(map(is_local_port_free, range(port, port + 4))))
        arguments = ("up", *manager.files(), "--flower-port", "0")
        with Courier(tmp_path, *arguments, COURIER_METRICS_PORT=str(first)):
            eventually(lambda: Scrape(first).value("courier_up") == 1)
            ports = range(first, first + 4)
            parts = (
                "courier_up",
                "courier_worker_integration_info",
                "courier_producer_redis_up",
                "courier_worker_integration_info",
            )
            for port, name in zip(ports, parts, strict=True):

                def shows(port: int = port, name: str = name) -> bool:
                    return any(n == name for n, _ in shown(port))

                eventually(shows)


def is_local_port_free(port: int) -> bool:
    return is_free("127.0.0.1", port)


def shown(port: int) -> Samples:
    try:
        return Scrape(port).samples()
    except OSError:
        return {}
