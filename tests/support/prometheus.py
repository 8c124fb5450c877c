"""Reads the state of a Prometheus: its targets, its rules and the results of the dashboard's queries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ops.monitoring.grafana.build import FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def dashboard_queries() -> Iterator[str]:
    """Yield the dashboard's queries with Grafana's variables replaced: all integrations and nodes."""
    for panel in json.loads(FILE.read_text())["panels"]:
        for target in panel.get("targets", ()):
            query: str = target["expr"]
            yield query.replace("$__rate_interval", "5m").replace("$integration", ".*").replace("$node", ".*")


class Prometheus:
    """`get` fetches a path of its HTTP API and returns the text."""

    def __init__(self, get: Callable[[str], str]) -> None:
        self._get = get

    def targets(self) -> dict[str, set[str]]:
        """Return the health of the targets by job; only `up` is healthy."""
        found: dict[str, set[str]] = {}
        for one in self._ask("targets?state=active")["activeTargets"]:
            found.setdefault(one["labels"]["job"], set()).add(one["health"])
        return found

    def rules(self) -> dict[str, str]:
        """Return the health of each alert rule: `ok`, or the error of its evaluation."""
        groups = self._ask("rules")["groups"]
        return {rule["name"]: rule.get("lastError") or rule["health"] for group in groups for rule in group["rules"]}

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of a query; fail on an error."""
        series: list[dict[str, Any]] = self._ask(f"query?query={quote(expression)}")["result"]
        return series

    def values(self, label: str, metric: str) -> list[str]:
        """Return a label's values, as for the dashboard's variables."""
        found: list[str] = self._ask(f"label/{label}/values?match[]={metric}")
        return found

    def unanswered(self) -> set[str]:
        """Return the dashboard's queries without a result; queries with `> 0` are excluded."""
        return {query for query in dashboard_queries() if not self.ask(query) and not query.endswith("> 0")}

    def _ask(self, path: str) -> Any:
        answer = json.loads(self._get(f"/api/v1/{path}"))
        assert answer["status"] == "success", answer
        return answer["data"]
