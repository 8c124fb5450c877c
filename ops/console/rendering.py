"""Renders the templates. What alerts, targets and Redis say is hostile, so each value is made harmless by default.

`{{ value }}` in a template is cut to MAX_CHARS, its control and invisible characters are shown as escapes
(`common.printable`), and its markup is escaped. Filters give more: `long` for a whole text of several lines, `json` for
a document, `time` and `ago` for a time in ms, `age` for seconds or None, `id` for a text to copy, `number` for a count,
`attribute` for a field of a form.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from common.printable import printable
from common.timestamps import time_text
from ops.admin.terminal import age, pluralize
from ops.console.charts import latency_chart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ops.admin.rate_history import Series

PACKAGE: Final = "ops.console"
MAX_CHARS: Final = 500
"""Characters of one value; enough for a rule's description or an error of a target."""

MAX_COPY_CHARS: Final = 2000
"""Characters of a text to copy, which must be whole: a command with the id of a delivery, of up to 512."""

MAX_LONG_CHARS: Final = 200_000
"""Characters of a whole alert or response; alerts have up to 16 MiB, which a browser would not lay out."""

MAX_TIME_MS: Final = 253_402_300_799_999
"""The end of the year 9999, the maximum of Python's datetime."""

CURVE_WIDTH: Final = 120
CURVE_HEIGHT: Final = 28
CURVE_POINTS: Final = 60


class Templates:
    """The templates of the console, with the filters above. Each one is compiled once."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader(PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=harmless,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "long": long,
            "json": json_document,
            "time": time,
            "ago": ago,
            "age": lambda seconds: "–" if seconds is None else age(seconds),  # noqa: RUF001 — the dash of an empty cell
            "id": copyable,
            "attribute": attribute,
            "number": lambda value: f"{value:,}",
            "pluralize": pluralize,
            "curve": curve,
            "latency_chart": latency_chart,
        }
        self._environment.globals |= {"static": static_url, "link": link, "alert_link": alert_link}

    def render(self, name: str, **values: Any) -> str:
        """Return the template `name` with these values."""
        return self._environment.get_template(name).render(values)

    def macro(self, file: str, name: str) -> Callable[..., str]:
        """Return the macro `name` of a template, to render a part of a page."""
        macro: Callable[..., str] = getattr(self._environment.get_template(file).module, name)
        return macro


def harmless(value: Any) -> Any:
    """Return what `{{ value }}` prints: markup of this module as it is, everything else printable and cut."""
    if isinstance(value, Markup):
        return value
    text = "" if value is None else str(value)
    return printable(text[:MAX_CHARS]) + ("…" if len(text) > MAX_CHARS else "")


def long(text: str) -> Markup:
    """Return a text of several lines; one that was cut says so."""
    rest = len(text) - MAX_LONG_CHARS
    note = f"\n… {rest:,} more characters" if rest > 0 else ""
    return escape(printable(text[:MAX_LONG_CHARS], keep="\n") + note)


def json_document(value: Any) -> Markup:
    """Return a JSON value as an indented document; one that was cut says so.

    What is cut is not encoded: for an alert of 16 MiB, that would stop all other pages for a second.
    """
    chunks, length = list[str](), 0
    for chunk in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        chunks.append(chunk)
        if (length := length + len(chunk)) > MAX_LONG_CHARS:
            return escape(printable("".join(chunks)[:MAX_LONG_CHARS], keep="\n") + "\n… and more")
    return long("".join(chunks))


def time(ms: int | None, *, shown: str = "") -> Markup:
    """Return a time in ms since the epoch. It is in UTC until the script shows it in the browser's zone.

    `shown` is a text to show in place of the time.
    """
    if ms is None or not 0 < ms <= MAX_TIME_MS:
        return Markup("")
    utc = time_text(ms)
    kind = Markup(' class="ago"') if shown else ""
    return Markup('<time datetime="{}" title="{}"{}>{}</time>').format(utc, utc, kind, shown or utc)


def ago(ms: int | None, now_ms: int) -> Markup:
    """Return a time in ms since the epoch as its age, with the time itself on hover; `never` if there is none."""
    return time(ms, shown=f"{age((now_ms - ms) / 1000)} ago") if ms else Markup('<span class="soft">never</span>')


def copyable(text: str) -> Markup:
    """Return an id in full; the script adds a button that copies it."""
    return Markup('<code class="id" data-copy="{0}">{0}</code>').format(printable(text[:MAX_COPY_CHARS]))


def address(path: str, **query: object) -> str:
    """Return a URL of the console, without the parameters that are empty."""
    pairs = [(name, value) for name, value in query.items() if value not in {None, ""}]
    return f"{path}?{urlencode(pairs, errors='surrogateescape')}" if pairs else path


def link(path: str, **query: object) -> Markup:
    """Return `address` for an attribute."""
    return attribute(address(path, **query))


def alert_link(wanted: str) -> Markup:
    """Return the URL of the page about an alert, by its id or that of a delivery, for an attribute."""
    return attribute(f"/alert/{quote(wanted, safe=':@', errors='surrogateescape')}")


def attribute(value: object) -> Markup:
    """Return the value of a form's field: whole and unchanged, because the browser sends it back."""
    return escape(value)


def curve(series: Series) -> Markup:
    """Return a small drawing of rates: what arrived as an area, what was completed as a line."""
    highest = max((*series.arrived, *series.completed), default=0.0)
    points = partial(_points, highest=highest)
    now = f"{_last(series.arrived):.1f} in, {_last(series.completed):.1f} out a second"
    title = f"Deliveries of the last {len(series.arrived) * 10 // 60} minutes; now {now}"
    arrived = points(series.arrived)
    first = CURVE_WIDTH - (len(series.arrived) - 1) * CURVE_WIDTH / (CURVE_POINTS - 1)
    area = f"{first:.0f},{CURVE_HEIGHT} {arrived} {CURVE_WIDTH},{CURVE_HEIGHT}" if arrived else ""
    return Markup(
        '<svg class="curve" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<polygon class="in" points="{}"/><polyline class="out" points="{}"/></svg>'
    ).format(CURVE_WIDTH, CURVE_HEIGHT, title, area, points(series.completed))


def _points(rates: Iterable[float], highest: float) -> str:
    """Return the points of a line whose right end is now."""
    values = list(rates)
    step, top = CURVE_WIDTH / (CURVE_POINTS - 1), highest or 1.0
    last = len(values) - 1
    return " ".join(
        f"{CURVE_WIDTH - (last - n) * step:.0f},{CURVE_HEIGHT - value / top * (CURVE_HEIGHT - 2):.1f}"
        for n, value in enumerate(values)
    )


def _last(values: tuple[float, ...]) -> float:
    return values[-1] if values else 0.0


@lru_cache
def static_url(name: str) -> str:
    """Return the URL of a static file, which changes with its content."""
    content = (files(PACKAGE) / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"
