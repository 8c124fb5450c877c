"""The parts of Grafana's panels that the dashboard uses: title, queries, unit and position in the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Json = dict[str, Any]

SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
ALERTS: Final = "alertlist"

GRID_WIDTH: Final = 24
"""The columns of Grafana's grid."""


class Query(NamedTuple):
    """A PromQL expression and the legend of its series, which may use {{label}}."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """One panel; one of the kind ALERTS has no queries.

    A single value is red from `red_from` on. Grafana shows `help` at the panel's info icon.
    """

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    red_from: float | None = None
    help: str = ""
    stacked: bool = False
    mappings: Mapping[str, str] = {}


class Row(NamedTuple):
    """A heading and the panels below it."""

    title: str
    panels: Sequence[Panel]


def lay_out(rows: Iterable[Row]) -> list[Json]:
    """Return the rows and panels with ids and grid positions, from left to right and top to bottom."""
    placed: list[Json] = []
    top = 0
    for row in rows:
        placed.append(
            {"type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": _grid_pos(0, top, 24, 1)}
        )
        top += 1
        for panel, left, line in _lines(row.panels):
            placed.append(_panel(panel, _grid_pos(left, top + line, panel.width, panel.height)))
        top = max(item["gridPos"]["y"] + item["gridPos"]["h"] for item in placed)
    return [panel | {"id": number} for number, panel in enumerate(placed, start=1)]


def _lines(panels: Sequence[Panel]) -> Iterator[tuple[Panel, int, int]]:
    """Yield each panel with its column and its distance from the top of the row, in grid units."""
    left = line = tallest = 0
    for panel in panels:
        if left + panel.width > GRID_WIDTH:
            left, line, tallest = 0, line + tallest, 0
        yield panel, left, line
        left, tallest = left + panel.width, max(tallest, panel.height)


def _grid_pos(x: int, y: int, w: int, h: int) -> Json:
    return {"x": x, "y": y, "w": w, "h": h}


def _panel(panel: Panel, grid_pos: Json) -> Json:
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "instant": panel.kind == "stat",
            "range": panel.kind != "stat",
        }
        for number, query in enumerate(panel.queries)
    ]
    if panel.kind == ALERTS:
        return {"type": ALERTS, "title": panel.title, "gridPos": grid_pos, "options": _ALERT_OPTIONS}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "gridPos": grid_pos,
        "targets": targets,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _STAT_OPTIONS if panel.kind == "stat" else _GRAPH_OPTIONS,
    }


_ALERT_OPTIONS: Final[Json] = {
    "datasource": "Prometheus",
    "alertName": "Courier",
    "viewMode": "list",
    "groupMode": "default",
    "maxItems": 20,
    "sortOrder": 3,  # by importance
    "stateFilter": {"firing": True, "pending": True, "noData": False, "normal": False, "error": True},
}
"""Grafana's alert list needs the data source's name; it does not accept a variable."""

_GRAPH_OPTIONS: Final[Json] = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
_STAT_OPTIONS: Final[Json] = {
    "colorMode": "background",
    "graphMode": "none",
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "textMode": "auto",
}


def _defaults(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.red_from is not None:
        steps.append({"color": "red", "value": panel.red_from})
    defaults: Json = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        defaults["custom"] = {"fillOpacity": 20 if panel.stacked else 5, "lineWidth": 1, "stacking": stacking}
    if panel.mappings:
        options = {value: {"text": text} for value, text in panel.mappings.items()}
        defaults["mappings"] = [{"type": "value", "options": options}]
    return defaults
