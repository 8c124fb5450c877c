"""Writes the dashboard: what an operator looks at first on top, the causes below it.

python -m ops.monitoring.grafana.build
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from ops.monitoring.grafana.panels import ALERTS, SOURCE, Ask, Panel, Row, laid_out

FILE: Final = Path(__file__).parent / "dashboards" / "courier.json"

_ONE: Final = 'integration=~"$integration"'
_OF: Final = f"{{{_ONE}}}"
_NODE: Final = '{node=~"$node"}'


def _rate(metric: str, labels: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def _quantile(part: float, metric: str) -> str:
    return f"histogram_quantile({part}, sum by (le, integration) (rate({metric}_bucket{_OF}[$__rate_interval])))"


def _stat(title: str, expr: str, unit: str = "short", *, red_from: float | None = None, **words: str) -> Panel:
    return Panel(title, (Ask(expr),), unit, "stat", 4, 4, red_from, mappings=words)


_FIRST: Final = Row(
    "Is all well?",
    [
        _stat("Oldest delivery", f"max(courier_oldest_delivery_age_seconds{_OF})", "s", red_from=900),
        _stat("Waiting", f"sum(courier_waiting{_OF})"),
        _stat("Dead letters", f"sum(courier_dead{_OF})", red_from=1),
        _stat("Read behind", f"max(courier_reader_lag_seconds{_OF})", "s", red_from=300),
        _stat("Breakers open", f"sum(courier_breaker_open{_OF})", red_from=1),
        _stat("Ledger away", "1 - min(courier_up)", red_from=1, **{"0": "answers", "1": "away"}),
        Panel("Alerts", (), kind=ALERTS, width=24, height=6),
    ],
)
_THROUGH: Final = Row(
    "What goes through",
    [
        Panel(
            "Delivered",
            (Ask(_rate("courier_deliveries_total", f'{_ONE}, outcome="delivered"', "integration"), "{{integration}}"),),
            "ops",
            stacked=True,
        ),
        Panel(
            "In and out, all together",
            (
                Ask(f"sum(rate(courier_committed_total{_OF}[$__rate_interval]))", "committed"),
                Ask(
                    _rate(
                        "courier_deliveries_total", _ONE + ', outcome!~"released_again|put_back|postponed"', "outcome"
                    ),
                    "{{outcome}}",
                ),
            ),
            "ops",
        ),
        Panel(
            "From alert to accepted",
            (
                Ask(_quantile(0.5, "courier_delivery_latency_seconds"), "{{integration}} half"),
                Ask(_quantile(0.95, "courier_delivery_latency_seconds"), "{{integration}} 95 %"),
            ),
            "s",
            help="From the alert's own timestamp until the service took it; replays are left out.",
        ),
        Panel(
            "One call of the service",
            (
                Ask(_quantile(0.5, "courier_request_seconds"), "{{integration}} half"),
                Ask(_quantile(0.95, "courier_request_seconds"), "{{integration}} 95 %"),
            ),
            "s",
        ),
    ],
)
_BACKLOG: Final = Row(
    "What waits",
    [
        Panel("Waiting", (Ask(f"courier_waiting{_OF}", "{{integration}}"),), stacked=True),
        Panel("In queues and hands", (Ask(f"courier_released{_OF}", "{{integration}}"),), stacked=True),
        Panel(
            "Age of the oldest, and how long overdue",
            (
                Ask(f"courier_oldest_delivery_age_seconds{_OF}", "{{integration}} age"),
                Ask(f"courier_overdue_seconds{_OF}", "{{integration}} overdue"),
            ),
            "s",
            help="Old but not overdue: it backs off. As overdue as old: more arrives than goes out.",
        ),
        Panel(
            "Backlog, of its limits",
            (
                Ask(
                    f"(courier_waiting{_OF} + courier_released{_OF})"
                    f" / on (integration) max by (integration) (courier_backlog_limit{_OF})",
                    "{{integration}} deliveries",
                ),
                Ask(
                    f"courier_backlog_bytes{_OF}"
                    f" / on (integration) max by (integration) (courier_backlog_limit_bytes{_OF})",
                    "{{integration}} bytes",
                ),
            ),
            "percentunit",
        ),
    ],
)
_FAILURES: Final = Row(
    "What fails",
    [
        Panel(
            "Failed attempts",
            (
                Ask(
                    _rate("courier_deliveries_total", f'{_ONE}, outcome="retried"', "integration", "reason") + " > 0",
                    "{{integration}} {{reason}}",
                ),
            ),
            "ops",
            stacked=True,
        ),
        Panel(
            "Deaths in an hour",
            (
                Ask(
                    "sum by (integration, reason) "
                    f'(increase(courier_deliveries_total{{{_ONE}, outcome="dead"}}[1h])) > 0',
                    "{{integration}} {{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Held back",
            (
                Ask(f"courier_breaker_open{_OF}", "{{integration}} breaker"),
                Ask(f"courier_paused{_OF}", "{{integration}} paused"),
                Ask(f"courier_target_pause_remaining_seconds{_OF} > bool 0", "{{integration}} asked for a pause"),
                Ask(f"max by (integration) (courier_backpressure{_OF})", "{{integration}} parked"),
                Ask(f"courier_intake_paused{_NODE}", "{{node}} enqueues nothing"),
            ),
        ),
        Panel(
            "Breakers opened and pauses asked for, in an hour",
            (
                Ask(f"increase(courier_breaker_opened_total{_OF}[1h])", "{{integration}} breaker"),
                Ask(f"increase(courier_target_pauses_total{_OF}[1h])", "{{integration}} pause"),
            ),
        ),
        Panel(
            "Attempts in this Prometheus's workers",
            (Ask(_rate("courier_attempts_total", _ONE, "outcome"), "{{outcome}}"),),
            "ops",
        ),
        Panel("Dead letters", (Ask(f"courier_dead{_OF}", "{{integration}}"),), stacked=True),
    ],
)
_READING: Final = Row(
    "The managers",
    [
        Panel("Lines read", (Ask(f"rate(courier_lines_total{_NODE}[$__rate_interval])", "{{node}}"),), "ops"),
        Panel(
            "Deliveries made of them",
            (Ask(f"rate(courier_matched_total{_NODE}[$__rate_interval])", "{{node}}"),),
            "ops",
        ),
        Panel("Behind, in bytes", (Ask(f"max by (node) (courier_reader_lag_bytes{_OF})", "{{node}}"),), "bytes"),
        Panel(
            "Passed over or of a wrong type, in an hour",
            (
                Ask(f"increase(courier_lines_rejected_total{_NODE}[1h]) > 0", "{{node}} {{reason}}"),
                Ask(f"increase(courier_field_type_errors_total{_NODE}[1h]) > 0", "{{node}} type of {{field}}"),
                Ask(f"increase(courier_foreign_writes_total{_NODE}[1h]) > 0", "{{node}} {{what}} changed by others"),
            ),
        ),
        Panel(
            "Told of itself",
            (Ask(f"time() - courier_producer_report_timestamp_seconds{_NODE}", "{{node}}"),),
            "s",
        ),
        Panel(
            "Configuration in force",
            (
                Ask(f"time() - courier_config_loaded_timestamp_seconds{_NODE}", "{{node}} age"),
                Ask(f"changes(courier_config_hash{_NODE}[1h])", "{{node}} changes in an hour"),
                Ask(f"1 - courier_config_ok{_NODE}", "{{node}} refused"),
            ),
        ),
    ],
)
_MACHINERY: Final = Row(
    "Workers and Redis",
    [
        Panel(
            "Workers by integration",
            (Ask(f"sum by (integration) (courier_worker_integration_info{_OF})", "{{integration}}"),),
        ),
        Panel(
            "Since the last round of a worker",
            (Ask("time() - courier_worker_maintenance_timestamp_seconds", "{{instance}}"),),
            "s",
        ),
        Panel(
            "Redis: memory",
            (
                Ask("max(courier_redis_memory_bytes)", "used"),
                Ask("max(courier_redis_memory_max_bytes)", "most"),
                Ask("sum(courier_backlog_bytes)", "backlogs"),
                Ask("sum(courier_dead_bytes)", "dead letters"),
            ),
            "bytes",
        ),
        Panel(
            "Memory of the processes",
            (Ask('process_resident_memory_bytes{job=~"courier-.*"}', "{{job}} {{instance}}"),),
            "bytes",
        ),
    ],
)
ROWS: Final = (_FIRST, _THROUGH, _BACKLOG, _FAILURES, _READING, _MACHINERY)


def _variable(name: str, metric: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({metric}, {name})", "refId": name},
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def build() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": "courier",
        "title": "Courier",
        "description": "Written by `python -m ops.monitoring.grafana.build`; change it there.",
        "tags": ["courier", "wazuh"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                source,
                _variable("integration", "courier_waiting"),
                _variable("node", "courier_lines_total"),
            ]
        },
        "annotations": {"list": []},
        "panels": laid_out(ROWS),
    }


def text() -> str:
    """Return the file's content."""
    return json.dumps(build(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
