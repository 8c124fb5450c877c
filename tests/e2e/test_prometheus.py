"""A real Prometheus with the project's rules scrapes real processes and answers the queries of the dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
import yaml

import ops
from ops.standalone.embedded_redis import free_port
from tests.ops.deploy.test_kubernetes import SCALED
from tests.support.processes import Courier, Manager
from tests.support.prometheus import Prometheus
from tests.support.recorder import Recorder, eventually
from tests.support.tools import needs

if TYPE_CHECKING:
    from ops.standalone.embedded_redis import EmbeddedServer

FOLDER = Path(ops.__file__).parent / "monitoring/prometheus"
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]


def started(stack: ExitStack, folder: Path, ports: dict[str, int]) -> Prometheus:
    """Start Prometheus with the packaged prometheus.yml, but with other targets and a shorter interval."""
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(FOLDER / name) for name in config["rule_files"]]
    for job in config["scrape_configs"]:
        for discovery in ("static_configs", "dns_sd_configs"):
            job.pop(discovery, None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        *("prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"),
        *(f"--web.listen-address={address}", "--log.level=warn"),
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.standalone.exec_with_parent", str(os.getpid()), *command],
            stdout=log,
            stderr=log,
        )
    stack.callback(process.wait)
    stack.callback(process.terminate)

    def get(path: str) -> str:
        with urlopen(f"http://{address}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    eventually(lambda: _answers(get))
    return Prometheus(get)


def _answers(get: Any) -> bool:
    try:
        return bool(get("/-/ready"))
    except OSError:
        return False


@pytest.mark.slow
@needs("prometheus", "prometheus")
def test_targets_are_up_rules_evaluate_and_the_dashboard_is_answered(
    client: object, server: EmbeddedServer, tmp_path: Path
) -> None:
    del client
    ports = {f"courier-{name}": free_port() for name in ("producer", "worker", "exporter")}
    with ExitStack() as stack:
        target = stack.enter_context(Recorder())
        manager = Manager(tmp_path, target)

        def start(name: str, *arguments: str) -> None:
            environment = {"COURIER_REDIS_URL": server.url, "COURIER_METRICS_PORT": str(ports[f"courier-{name}"])}
            stack.enter_context(Courier(tmp_path, name, *arguments, **environment))

        start("producer", *manager.files(), "--node", "wazuh-1")
        start("worker", "--state", str(manager.state))
        start("exporter")
        prometheus = started(stack, tmp_path, ports)
        eventually(lambda: prometheus.targets() == {job: {"up"} for job in ports})
        manager.append(30)
        delivered = 'courier_deliveries_total{integration="slack", outcome="delivered"}'
        eventually(lambda: [one["value"][1] for one in prometheus.ask(delivered)] == ["30"])
        eventually(lambda: prometheus.rules() == {rule["alert"]: "ok" for rule in RULES})
        eventually(lambda: not prometheus.unanswered())
        assert prometheus.values("integration", "courier_waiting") == ["manager", "slack"]
        assert prometheus.values("node", "courier_lines_total") == ["wazuh-1"]
        (age,) = prometheus.ask(SCALED["spec"]["triggers"][0]["metadata"]["query"])
        assert float(age["value"][1]) == 0
        assert prometheus.ask('ALERTS{alertstate="firing"}') == []


@pytest.mark.slow
@needs("prometheus", "prometheus")
def test_a_rule_fires_when_what_it_is_about_happens(client: object, server: EmbeddedServer, tmp_path: Path) -> None:
    del client
    ports = {f"courier-{name}": free_port() for name in ("producer", "worker", "exporter")}
    with ExitStack() as stack:
        target = stack.enter_context(Recorder(lambda _body: 400))
        manager = Manager(tmp_path, target)
        own = {"COURIER_REDIS_URL": server.url}
        files = ("--state", str(manager.state))
        stack.enter_context(Courier(tmp_path, "producer", *manager.files(), "--node", "wazuh-1", **own))
        worker = stack.enter_context(Courier(tmp_path, "worker", *files, **own))
        port = {"COURIER_METRICS_PORT": str(ports["courier-exporter"])}
        stack.enter_context(Courier(tmp_path, "exporter", **own, **port))
        prometheus = started(stack, tmp_path, ports)
        zero = 'courier_deliveries_total{integration="slack", outcome="dead", reason="http_4xx"} == 0'
        eventually(lambda: prometheus.ask(zero))
        eventually(lambda: "ready" in worker.log)
        manager.append(1)
        firing = (
            'ALERTS{alertname="CourierDeadLettersGrow", integration="slack", reason="http_4xx", alertstate="firing"}'
        )
        eventually(lambda: prometheus.ask(firing))
        assert prometheus.targets()["courier-worker"] == {"down"}
