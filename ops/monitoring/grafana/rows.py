"""The rows of the dashboard and the queries of their panels."""

from __future__ import annotations

from typing import Final

from common.ledger.balance import READ_AS
from ops.monitoring.grafana.panels import ALERTS, Panel, Query, Row

_LABELS: Final = 'integration=~"$integration"'
_SELECTOR: Final = f"{{{_LABELS}}}"
_NODE: Final = '{node=~"$node"}'


def _rate(metric: str, labels: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def _quantile(quantile: float, metric: str) -> str:
    return (
        f"histogram_quantile({quantile}, sum by (le, integration) (rate({metric}_bucket{_SELECTOR}[$__rate_interval])))"
    )


def _stat(title: str, expr: str, unit: str = "short", *, red_from: float | None = None, **mappings: str) -> Panel:
    return Panel(title, (Query(expr),), unit, "stat", 4, 4, red_from, mappings=mappings)


_OVERVIEW: Final = Row(
    "Overview",
    [
        _stat("Oldest delivery", f"max(courier_oldest_delivery_age_seconds{_SELECTOR})", "s", red_from=900),
        _stat("Waiting", f"sum(courier_waiting{_SELECTOR})"),
        _stat("Dead letters", f"sum(courier_dead{_SELECTOR})", red_from=1),
        _stat("Reader lag", f"max(courier_reader_lag_seconds{_SELECTOR})", "s", red_from=300),
        _stat("Open breakers", f"sum(courier_breaker_open{_SELECTOR})", red_from=1),
        _stat("Redis", "1 - min(courier_up)", red_from=1, **{"0": "available", "1": "unavailable"}),
        Panel("Alerts", (), kind=ALERTS, width=24, height=6),
    ],
)
_THROUGHPUT: Final = Row(
    "Throughput",
    [
        Panel(
            "Delivered",
            (
                Query(
                    _rate("courier_deliveries_total", f'{_LABELS}, outcome="delivered"', "integration"),
                    "{{integration}}",
                ),
            ),
            "ops",
            stacked=True,
        ),
        Panel(
            "Committed, and outcomes, of all integrations",
            (
                Query(f"sum(rate(courier_committed_total{_SELECTOR}[$__rate_interval]))", "committed"),
                Query(
                    _rate(
                        "courier_deliveries_total",
                        _LABELS + ', outcome!~"released_again|put_back|postponed"',
                        "outcome",
                    ),
                    "{{outcome}}",
                ),
            ),
            "ops",
        ),
        Panel(
            "Delivery latency",
            (
                Query(_quantile(0.5, "courier_delivery_latency_seconds"), "{{integration}} median"),
                Query(_quantile(0.95, "courier_delivery_latency_seconds"), "{{integration}} 95 %"),
            ),
            "s",
            help="From the alert's own timestamp until the service accepted it, without replays.",
        ),
        Panel(
            "Request duration",
            (
                Query(_quantile(0.5, "courier_request_seconds"), "{{integration}} median"),
                Query(_quantile(0.95, "courier_request_seconds"), "{{integration}} 95 %"),
            ),
            "s",
        ),
    ],
)
_BACKLOG: Final = Row(
    "Backlog",
    [
        Panel("Waiting", (Query(f"courier_waiting{_SELECTOR}", "{{integration}}"),), stacked=True),
        Panel("Held until the end of a window", (Query(f"courier_held{_SELECTOR}", "{{integration}}"),), stacked=True),
        Panel(
            "Released: queued or being sent", (Query(f"courier_released{_SELECTOR}", "{{integration}}"),), stacked=True
        ),
        Panel(
            "Oldest delivery: age and time overdue",
            (
                Query(f"courier_oldest_delivery_age_seconds{_SELECTOR}", "{{integration}} age"),
                Query(f"courier_overdue_seconds{_SELECTOR}", "{{integration}} overdue"),
            ),
            "s",
            help="Old but not overdue: it is backing off. Overdue as long as old: more arrives than is delivered.",
        ),
        Panel(
            "Backlog relative to its limits",
            (
                Query(
                    f"(courier_waiting{_SELECTOR} + courier_released{_SELECTOR})"
                    f" / on (integration) max by (integration) (courier_backlog_limit{_SELECTOR})",
                    "{{integration}} deliveries",
                ),
                Query(
                    f"courier_backlog_bytes{_SELECTOR}"
                    f" / on (integration) max by (integration) (courier_backlog_limit_bytes{_SELECTOR})",
                    "{{integration}} bytes",
                ),
            ),
            "percentunit",
        ),
    ],
)
_FAILURES: Final = Row(
    "Failures",
    [
        Panel(
            "Failed attempts",
            (
                Query(
                    _rate("courier_deliveries_total", f'{_LABELS}, outcome="retried"', "integration", "reason")
                    + " > 0",
                    "{{integration}} {{reason}}",
                ),
            ),
            "ops",
            stacked=True,
        ),
        Panel(
            "New dead letters per hour",
            (
                Query(
                    "sum by (integration, reason) "
                    f'(increase(courier_deliveries_total{{{_LABELS}, outcome="dead"}}[1h])) > 0',
                    "{{integration}} {{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Breakers, pauses and backpressure",
            (
                Query(f"courier_breaker_open{_SELECTOR}", "{{integration}} breaker"),
                Query(f"courier_paused{_SELECTOR}", "{{integration}} paused"),
                Query(f"courier_target_pause_remaining_seconds{_SELECTOR} > bool 0", "{{integration}} target pause"),
                Query(f"max by (integration) (courier_backpressure{_SELECTOR})", "{{integration}} backpressure"),
                Query(f"courier_intake_paused{_NODE}", "{{node}} intake paused"),
            ),
        ),
        Panel(
            "Breakers opened and target pauses per hour",
            (
                Query(f"increase(courier_breaker_opened_total{_SELECTOR}[1h])", "{{integration}} breaker"),
                Query(f"increase(courier_target_pauses_total{_SELECTOR}[1h])", "{{integration}} pause"),
            ),
        ),
        Panel(
            "Attempts of the workers that this Prometheus scrapes",
            (Query(_rate("courier_attempts_total", _LABELS, "outcome"), "{{outcome}}"),),
            "ops",
        ),
        Panel(
            "Templates that print nothing or fail",
            (
                Query(
                    _rate("courier_template_missing_total", _LABELS, "integration"), "{{integration}} missing values"
                ),
                Query(_rate("courier_template_failures_total", _LABELS, "integration"), "{{integration}} failures"),
            ),
            "ops",
        ),
        Panel("Dead letters", (Query(f"courier_dead{_SELECTOR}", "{{integration}}"),), stacked=True),
        Panel(
            "Numbers that do not add up",
            (
                Query(f"abs(courier_unaccounted_alerts{_SELECTOR}) > 0", "{{integration}} alerts"),
                Query(f"abs(courier_unaccounted_deliveries{_SELECTOR}) > 0", "{{integration}} deliveries"),
            ),
            help="Alerts and deliveries whose whereabouts no number shows. Empty unless something changed Redis.",
        ),
    ],
)
_PRODUCERS: Final = Row(
    "Producers",
    [
        Panel("Lines read", (Query(f"rate(courier_lines_total{_NODE}[$__rate_interval])", "{{node}}"),), "ops"),
        Panel(
            "Deliveries committed, and alerts that conditions exclude",
            (
                Query(f"rate(courier_matched_total{_NODE}[$__rate_interval])", "{{node}}"),
                Query("rate(courier_excepted_total[$__rate_interval]) > 0", "not {{integration}}"),
            ),
            "ops",
        ),
        Panel(
            "What became of the alerts that were read",
            tuple(
                Query(f"sum(rate(courier_{part}_total{_SELECTOR}[$__rate_interval]))", part)
                for part in ("read", *READ_AS)
            ),
            "ops",
            help="The others add up to read, which counts an alert once for each integration.",
        ),
        Panel(
            "Alerts for digests",
            (
                Query(f"sum(courier_open_groups{_SELECTOR})", "open groups"),
                Query(f"sum(courier_alerts_in_groups{_SELECTOR})", "alerts in open groups"),
                Query(f"sum(increase(courier_digests_total{_SELECTOR}[1h]))", "digests per hour"),
                Query(f"sum(increase(courier_below_min_total{_SELECTOR}[1h]))", "alerts below min per hour"),
            ),
        ),
        Panel(
            "Reader lag in bytes", (Query(f"max by (node) (courier_reader_lag_bytes{_SELECTOR})", "{{node}}"),), "bytes"
        ),
        Panel(
            "Rejected lines, wrong types and foreign writes per hour",
            (
                Query(f"increase(courier_lines_rejected_total{_NODE}[1h]) > 0", "{{node}} {{reason}}"),
                Query(f"increase(courier_field_type_errors_total{_NODE}[1h]) > 0", "{{node}} wrong type of {{field}}"),
                Query(f"increase(courier_foreign_writes_total{_NODE}[1h]) > 0", "{{node}} foreign write to {{what}}"),
            ),
        ),
        Panel(
            "Time since the last report",
            (Query(f"time() - courier_producer_report_timestamp_seconds{_NODE}", "{{node}}"),),
            "s",
        ),
        Panel(
            "Configuration",
            (
                Query(f"time() - courier_config_loaded_timestamp_seconds{_NODE}", "{{node}} age"),
                Query(f"changes(courier_config_hash{_NODE}[1h])", "{{node}} changes per hour"),
                Query(f"1 - courier_config_ok{_NODE}", "{{node}} refused"),
            ),
        ),
    ],
)
_WORKERS: Final = Row(
    "Workers and Redis",
    [
        Panel(
            "Workers by integration",
            (Query(f"sum by (integration) (courier_worker_integration_info{_SELECTOR})", "{{integration}}"),),
        ),
        Panel(
            "Time since the last maintenance of a worker",
            (Query("time() - courier_worker_maintenance_timestamp_seconds", "{{instance}}"),),
            "s",
        ),
        Panel(
            "Redis memory",
            (
                Query("max(courier_redis_memory_bytes)", "used"),
                Query("max(courier_redis_memory_max_bytes)", "maximum"),
                Query("sum(courier_backlog_bytes)", "backlogs"),
                Query("sum(courier_dead_bytes)", "dead letters"),
            ),
            "bytes",
        ),
        Panel(
            "Process memory",
            (Query('process_resident_memory_bytes{job=~"courier-.*"}', "{{job}} {{instance}}"),),
            "bytes",
        ),
    ],
)
ROWS: Final = (_OVERVIEW, _THROUGHPUT, _BACKLOG, _FAILURES, _PRODUCERS, _WORKERS)
