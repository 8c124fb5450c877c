"""What a Prometheus says of its targets and rules, and what it answers to the dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ops.monitoring.grafana.build import FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def questions() -> Iterator[str]:
    """Yield what the dashboard asks, with every integration and node chosen, as Grafana puts them in."""
    for panel in json.loads(FILE.read_text())["panels"]:
        for target in panel.get("targets", ()):
            asked: str = target["expr"]
            yield asked.replace("$__rate_interval", "5m").replace("$integration", ".*").replace("$node", ".*")


class Prometheus:
    """`get` fetches a path of its HTTP API and returns the text."""

    def __init__(self, get: Callable[[str], str]) -> None:
        self._get = get

    def targets(self) -> dict[str, set[str]]:
        """Return by job how its targets are: all is well where each has `up` and nothing else."""
        found: dict[str, set[str]] = {}
        for one in self._ask("targets?state=active")["activeTargets"]:
            found.setdefault(one["labels"]["job"], set()).add(one["health"])
        return found

    def rules(self) -> dict[str, str]:
        """Return how each alert rule is: `ok` once it was evaluated without an error, else what it says."""
        groups = self._ask("rules")["groups"]
        return {rule["name"]: rule.get("lastError") or rule["health"] for group in groups for rule in group["rules"]}

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that it answers with; an answer that is an error fails."""
        series: list[dict[str, Any]] = self._ask(f"query?query={quote(expression)}")["result"]
        return series

    def values(self, label: str, metric: str) -> list[str]:
        """Return a label's values, as the dashboard asks for them to offer a choice."""
        found: list[str] = self._ask(f"label/{label}/values?match[]={metric}")
        return found

    def unanswered(self) -> set[str]:
        """Return the dashboard's questions without an answer; what asks for more than zero may have none."""
        return {asked for asked in questions() if not self.ask(asked) and not asked.endswith("> 0")}

    def _ask(self, path: str) -> Any:
        answer = json.loads(self._get(f"/api/v1/{path}"))
        assert answer["status"] == "success", answer
        return answer["data"]
