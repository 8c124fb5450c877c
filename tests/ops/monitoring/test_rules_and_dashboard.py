"""Tests that dashboard, alert rules and runbooks are current and use existing metrics, labels and services."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

import ops
from common.metrics import TABLE
from common.metrics.table import MetricType
from ops.monitoring.grafana.build import FILE, build, text
from ops.monitoring.grafana.rows import ROWS
from tests.support.tools import needs, run

if TYPE_CHECKING:
    from collections.abc import Iterator

OPS = Path(ops.__file__).parent
PROMETHEUS = OPS / "monitoring/prometheus"
RUNBOOKS = OPS / "docs" / "runbooks"

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
TESTS: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
QUERIES = [query.expr for row in ROWS for panel in row.panels for query in panel.queries]
LABELS = {
    name: {*metric.labels, "instance", "job", "le"}
    for metric in TABLE
    for name in (metric.full_name, f"{metric.full_name}_bucket")
}


SOURCE_KEYS = {"name", "type", "uid", "access", "url", "isDefault", "editable", "orgId", "jsonData", "version"}
PROVIDER_KEYS = {
    "name",
    "type",
    "orgId",
    "folder",
    "disableDeletion",
    "allowUiUpdates",
    "updateIntervalSeconds",
    "options",
}
"""The keys in Grafana's page on provisioning that we use; Grafana ignores unknown keys silently."""


def known_metrics() -> set[str]:
    names = {metric.full_name for metric in TABLE if metric.type is not MetricType.HISTOGRAM}
    histograms = [metric.full_name for metric in TABLE if metric.type is MetricType.HISTOGRAM]
    return names | {name + ending for name in histograms for ending in ("_bucket", "_sum", "_count")}


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bcourier_[a-z_]+", expression))


def test_dashboard_file_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run: python -m ops.monitoring.grafana.build"


@pytest.mark.parametrize("expression", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_queries_use_existing_metrics_and_labels(expression: str) -> None:
    assert metrics_in(expression) <= known_metrics()
    for name, selected in re.findall(r"\b(courier_[a-z_]+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selected)) <= LABELS[name], name


def test_every_ledger_and_worker_metric_is_used() -> None:
    used = metrics_in(" ".join([*QUERIES, *(rule["expr"] for rule in RULES)]))
    used |= {name.removesuffix("_bucket") for name in used}
    unused = {m.full_name for m in TABLE if m.full_name not in used and not m.name.startswith("courier_producer_")}
    assert unused == {"courier_scrape_duration_seconds"}


def unknown_to_grafana(dashboard: dict[str, Any]) -> list[str]:
    """Parse the dashboard into Grafana's own types, dump it again and return the paths that are lost or differ."""
    plugins.register_default_plugins()
    return list(lost(dashboard, json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))))


def lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from lost(value, theirs.get(key), f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(*pair, f"{path}.{number}")
    elif ours != theirs:
        yield path


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    assert unknown_to_grafana(build()) == []


@pytest.mark.parametrize("path", ["", "options", "fieldConfig", "fieldConfig.defaults", "fieldConfig.defaults.custom"])
def test_unknown_dashboard_field_would_be_noticed(path: str) -> None:
    dashboard = json.loads(text())
    panel = next(one for one in dashboard["panels"] if one["type"] == "timeseries")
    for key in filter(None, path.split(".")):
        panel = panel[key]
    panel["filOpacity"] = 1
    (found,) = unknown_to_grafana(dashboard)
    assert found.endswith(f"{path}.filOpacity")


def test_panels_have_ids_and_do_not_overlap() -> None:
    panels = build()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in covered(panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert all(panel["targets"] for panel in panels if panel["type"] not in {"row", "alertlist"})


def test_dashboard_lists_the_alerts_of_the_rules() -> None:
    (panel,) = (one for one in build()["panels"] if one["type"] == "alertlist")
    (source, _) = yaml.safe_load((OPS / "monitoring/grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert panel["options"]["datasource"] == source["name"]
    assert panel["options"]["stateFilter"]["firing"]
    assert all(panel["options"]["alertName"] in rule["alert"] for rule in RULES)


def covered(grid_pos: dict[str, int]) -> Iterator[tuple[int, int]]:
    assert grid_pos["x"] + grid_pos["w"] <= 24
    for x in range(grid_pos["x"], grid_pos["x"] + grid_pos["w"]):
        for y in range(grid_pos["y"], grid_pos["y"] + grid_pos["h"]):
            yield x, y


def test_grafana_provisioning_matches_compose() -> None:
    sources = yaml.safe_load((OPS / "monitoring/grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert [(one["type"], one.get("isDefault", False)) for one in sources] == [
        ("prometheus", True),
        ("alertmanager", False),
    ]
    assert all(set(one) <= SOURCE_KEYS for one in sources)
    (provider,) = yaml.safe_load((OPS / "monitoring/grafana/provisioning/dashboards/courier.yml").read_text())[
        "providers"
    ]
    assert set(provider) <= PROVIDER_KEYS
    services = yaml.safe_load((OPS.parent / "compose.yaml").read_text())["services"]
    assert f"./ops/monitoring/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    assert json.loads(FILE.read_text())["uid"] == "courier"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_rule_has_both_tests_and_a_runbook(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert re.fullmatch(r"Courier[A-Z][A-Za-z]+", name)
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/{name}.md"
    assert {"summary", "description"} <= set(rule["annotations"])
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Check", "Fix"]
    cases = [case for one in TESTS for case in one["alert_rule_test"] if case["alertname"] == name]
    assert any(case["exp_alerts"] for case in cases), "no test in which it fires"
    assert any(not case["exp_alerts"] for case in cases), "no test in which it does not fire"


def test_every_runbook_has_a_rule_and_valid_links() -> None:
    pages = {path.stem: path.read_text() for path in RUNBOOKS.glob("*.md")}
    assert set(pages) == {rule["alert"] for rule in RULES}
    for name, page in pages.items():
        assert metrics_in(page) <= known_metrics() | set(LABELS), name
        assert set(re.findall(r"\]\((\w+)\.md\)", page)) <= set(pages), name


def test_prometheus_scrapes_the_services_of_compose() -> None:
    services = yaml.safe_load((OPS.parent / "compose.yaml").read_text())["services"]
    jobs = {
        job["job_name"]: job for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    }
    assert jobs["courier-exporter"]["static_configs"] == [{"targets": ["exporter:9464"]}]
    scraped = {"exporter", *(n for job in jobs.values() for sd in job.get("dns_sd_configs", []) for n in sd["names"])}
    assert scraped == {name for name in services if name in {"exporter", "producer"} or name.startswith("worker-")}
    for name in scraped:
        environment = services[name]["environment"]
        assert environment["COURIER_METRICS_ADDRESS"] != "127.0.0.1"
        assert environment["COURIER_METRICS_PORT"] == 9464


def test_runbook_links_lead_to_pages_that_compose_serves() -> None:
    services = yaml.safe_load((OPS.parent / "compose.yaml").read_text())["services"]
    labels = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"]["external_labels"]
    assert labels == {"runbooks": "${COURIER_RUNBOOKS}"}
    address = services["prometheus"]["environment"]["COURIER_RUNBOOKS"]
    (published,) = services["grafana"]["ports"]
    assert address == "${COURIER_RUNBOOKS:-http://127.0.0.1:3000/public/runbooks}"
    assert published.startswith("${COURIER_GRAFANA_PUBLISH:-127.0.0.1:3000}")
    assert "./ops/docs/runbooks:/usr/share/grafana/public/runbooks:ro" in services["grafana"]["volumes"]


def test_prometheus_uses_the_alertmanager_of_compose() -> None:
    services = yaml.safe_load((OPS.parent / "compose.yaml").read_text())["services"]
    alerting = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["alerting"]
    assert alerting["alertmanagers"] == [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]
    assert set(services["alertmanager"]["networks"]) & set(services["prometheus"]["networks"])
    config = yaml.safe_load((OPS / "monitoring/alertmanager/alertmanager.yml").read_text())
    assert config["route"]["receiver"] in {one["name"] for one in config["receivers"]}


@needs("promtool", "prometheus")
def test_alert_rules_pass_promtool_tests() -> None:
    done = run("promtool", "test", "rules", PROMETHEUS / "alerts_test.yml")
    assert done.returncode == 0, done.stdout


@needs("promtool", "prometheus")
def test_promtool_accepts_the_prometheus_configuration() -> None:
    done = run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout


@needs("promtool", "prometheus")
def test_dashboard_queries_are_valid_promql(tmp_path: Path) -> None:
    queries = [
        query.replace("$__rate_interval", "5m").replace("$integration", ".*").replace("$node", ".*")
        for query in QUERIES
    ]
    rules = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = run("promtool", "check", "rules", file)
    assert done.returncode == 0, done.stdout
