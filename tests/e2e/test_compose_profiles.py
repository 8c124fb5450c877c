"""The profiles of compose.yaml with a real engine: a worker for each integration, and Prometheus with Grafana.

If the engine reaches no registry, Debian's Prometheus replaces the image of Prometheus, and an image that does nothing
replaces that of Grafana. The test then checks only Grafana's container, not Grafana itself, and prints this.
"""

from __future__ import annotations

import base64
import json
import urllib.request

import pytest
import yaml

from tests.e2e.compose.hardening import check_containers
from tests.e2e.compose.stack import GRAFANA_PORT, HEALTHY_LIMIT_S, Stack
from tests.e2e.compose.stand_ins import image_or_stand_in
from tests.e2e.test_prometheus import RULES
from tests.support.prometheus import Prometheus
from tests.support.recorder import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DEDICATED = {"slack", "pagerduty", "virustotal", "shuffle", "maltiverse"}


def test_each_integration_can_have_its_own_worker(stack: Stack) -> None:
    stack.project.compose("--profile", "dedicated", "up", "--detach", "--wait", "--scale", "worker-http=0")
    assert not stack.project.containers("worker-http")
    for name in sorted(DEDICATED):
        (only,) = stack.project.containers(f"worker-{name}")
        check_containers([only])
    stack.manager.brute_force(200)
    stack.manager.new_file("d" * 32)
    stack.wait_until_all_arrived("slack", "virustotal")
    for name in ("slack", "virustotal"):
        served = {
            s.labels["integration"]
            for s in stack.metrics(f"worker-{name}")
            if s.name == "courier_worker_integration_info"
        }
        assert served == {name}
    stack.project.compose("--profile", "dedicated", "up", "--detach", "--no-recreate", "--scale", "worker-slack=3")
    eventually(lambda: len(stack.project.containers("worker-slack")) == 3 and not stack.project.unhealthy(), limit_s=60)


def test_prometheus_scrapes_every_process_and_grafana_queries_it(stack: Stack) -> None:
    real = {name: use_image(stack, name) for name in ("prometheus", "alertmanager", "grafana")}
    stack.project.compose("--profile", "monitoring", "up", "--detach")
    stack.project.wait_until_healthy(HEALTHY_LIMIT_S)
    check_containers(stack.project.containers())
    (source,) = [
        one for one in yaml.safe_load(grafana_data_source(stack))["datasources"] if one["type"] == "prometheus"
    ]
    prometheus = Prometheus(lambda path: fetch_in_grafana(stack, source["url"] + path))
    jobs = {"courier-exporter", "courier-producer", "courier-worker"}
    eventually(lambda: prometheus.targets() == {job: {"up"} for job in jobs}, limit_s=60)
    eventually(lambda: prometheus.rules() == {rule["alert"]: "ok" for rule in RULES}, limit_s=60)
    eventually(lambda: not prometheus.unanswered(), limit_s=60)
    stack.manager.brute_force(100)
    stack.wait_until_all_arrived()
    delivered = 'courier_deliveries_total{integration="slack", outcome="delivered"}'
    eventually(
        lambda: [int(s["value"][1]) for s in prometheus.ask(delivered)] == [stack.accepted()["slack"]], limit_s=60
    )
    serving = 'count by (integration) (courier_worker_integration_info{integration=~"slack|custom-ticket|manager"})'
    assert {one["metric"]["integration"] for one in prometheus.ask(serving)} == {"slack", "custom-ticket", "manager"}
    check_alert_reaches_alertmanager(stack, prometheus)
    check_grafana_reads_only_its_secret(stack)
    if real["grafana"]:
        check_grafana_dashboard(stack)


def check_alert_reaches_alertmanager(stack: Stack, prometheus: Prometheus) -> None:
    """Stop the exporter until its rule fires, and check that Alertmanager has this alert, with a link."""
    del prometheus
    stack.project.compose("stop", "exporter")
    try:
        ask = ("exec", "-T", "alertmanager", "wget", "-qO-", "http://127.0.0.1:9093/api/v2/alerts")
        (alert,) = eventually(lambda: json.loads(stack.project.compose(*ask)), limit_s=240)
    finally:
        stack.project.compose("start", "exporter")
    assert alert["labels"]["alertname"] == "CourierRedisDown"
    assert alert["annotations"]["runbook_url"] == "http://127.0.0.1:3000/public/runbooks/CourierRedisDown.md"
    assert "runbooks" not in alert["labels"]
    page = fetch_in_grafana(stack, "http://127.0.0.1:3000/public/runbooks/CourierRedisDown.md")
    assert page.startswith("# CourierRedisDown")


def use_image(stack: Stack, name: str) -> bool:
    """Use the image that compose.yaml names, or its stand-in. Return whether it is the real one."""
    wanted = json.loads(stack.project.compose("--profile", "monitoring", "config", "--format", "json"))
    image: str = wanted["services"][name]["image"]
    taken = image_or_stand_in(name, image)
    stack.project.set(**{f"COURIER_{name.upper()}_IMAGE": taken})
    return taken == image


def grafana_data_source(stack: Stack) -> str:
    """Return the definition of the data source in Grafana's container."""
    file = "/etc/grafana/provisioning/datasources/prometheus.yml"
    return stack.project.compose("exec", "-T", "grafana", "cat", file)


def fetch_in_grafana(stack: Stack, url: str) -> str:
    """Fetch a page from inside Grafana's container."""
    return stack.project.compose("exec", "-T", "grafana", "wget", "-qO-", url)


def check_grafana_reads_only_its_secret(stack: Stack) -> None:
    """Fail if Grafana cannot read its own secret, or can read another one."""
    read = ("exec", "-T", "grafana", "sh", "-c")
    assert stack.project.compose(*read, "cat $GF_SECURITY_ADMIN_PASSWORD__FILE").strip()
    for other in ("redis.password", "secret.key", "flower.login", "redis.acl"):
        assert "no" in stack.project.compose(*read, f"cat /run/courier/{other} 2>/dev/null || echo no"), other
    assert "courier.json" in stack.project.compose(*read, "ls /var/lib/grafana/dashboards")


def check_grafana_dashboard(stack: Stack) -> None:
    """Check the dashboard and the data source of a real Grafana, as its administrator."""
    password = stack.project.compose("exec", "-T", "grafana", "cat", "/run/courier/grafana.password").strip()
    login = base64.b64encode(f"admin:{password}".encode()).decode()

    def get(path: str) -> str:
        url = f"http://127.0.0.1:{GRAFANA_PORT}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})) as answer:
            return str(answer.read().decode())

    assert json.loads(get("/api/dashboards/uid/courier"))["dashboard"]["title"] == "Courier"
    assert json.loads(get("/api/datasources/uid/prometheus/health"))["status"] == "OK"
