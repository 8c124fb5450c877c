"""Reads a window of `[windows]`: a table, or a list of tables. Errors are ValueErrors that begin with the key."""

from __future__ import annotations

import re
from typing import Any, Final
from zoneinfo import ZoneInfo

from common.windows.window import Span, Window

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULT_ZONE: Final = "UTC"
"""Not the zone of the system: that differs between hosts and containers, and nobody would notice."""

WINDOW_FORM: Final = (
    '{from = "22:00", to = "06:00"} with `days` such as "mon-fri" or ["sat", "sun"] and `zone` such as '
    '"Europe/Berlin", or a list of such tables'
)
MAX_SPANS: Final = 100

_KEYS: Final = ("days", "from", "to", "zone")
_NOT_IANA: Final = re.compile(r"(localtime|posixrules|Factory)\Z|(posix|right)/")
"""Other files of the system's zone folder: the host's own zone, and copies of all zones, also with leap seconds."""

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


def parse_window(raw: object) -> Window:
    """Return the window that a table or a list of tables describes. Raises ValueError, which names the key."""
    tables = raw if isinstance(raw, list) else [raw]
    if not 0 < len(tables) <= MAX_SPANS:
        raise ValueError(f"a window has 1 to {MAX_SPANS} spans, not {len(tables)}")
    numbered = len(tables) > 1
    return Window(
        tuple(_span(one, f"span {number}: " if numbered else "") for number, one in enumerate(tables, start=1))
    )


def show_window(window: Window) -> list[dict[str, str]]:
    """Return the tables from which `parse_window` makes the same window."""
    return [
        {
            "days": _show_days(span.days),
            "from": _show_time(span.from_min),
            "to": _show_time(span.to_min),
            "zone": span.zone,
        }
        for span in window.spans
    ]


def _span(raw: object, where: str) -> Span:
    if not isinstance(raw, dict):
        raise ValueError(f"{where}is not a table")  # noqa: TRY004 — one kind of bad input
    for key in raw:
        if key not in _KEYS:
            raise ValueError(f"{where}there is no key {key!r:.60}; the keys are {', '.join(_KEYS)}")
    values: dict[str, Any] = {"days": "mon-sun", "from": "00:00", "to": "00:00", "zone": DEFAULT_ZONE} | raw
    parsed: dict[str, Any] = {}
    for key, read in (("days", _days), ("from", _minute), ("to", _minute), ("zone", _zone)):
        try:
            parsed[key] = read(values[key])
        except ValueError as error:
            raise ValueError(f"{where}{key}: {error}") from None
    return Span(parsed["days"], parsed["from"], parsed["to"], parsed["zone"])


def _days(raw: object) -> tuple[int, ...]:
    """Return the numbers of the days, sorted: "mon-fri" or "sat,sun", or a list of such texts. "sat-mon" wraps."""
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, list) or not items:
        raise ValueError(f"{raw!r:.60} is neither a day nor a list of days")
    found: set[int] = set()
    for item in items:
        first, dash, last = str(item).strip().partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{item!r:.60} is not a day; days are {', '.join(DAYS)}, and ranges such as mon-fri")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found.update((begin + more) % 7 for more in range((end - begin) % 7 + 1))
    return tuple(sorted(found))


def _show_days(days: tuple[int, ...]) -> str:
    names = [DAYS[day] for day in days]
    is_range = len(days) > 1 and days[-1] - days[0] == len(days) - 1
    return f"{names[0]}-{names[-1]}" if is_range else ",".join(names)


def _minute(raw: object) -> int:
    """Return the minutes since midnight; 24:00 is the midnight at the end of the day, which 00:00 is as well."""
    if not isinstance(raw, str) or not (found := _TIME.fullmatch(raw)):
        raise ValueError(f'{str(raw)!r:.60} is not a time of day from "00:00" to "24:00"')
    return int(found[1] or 0) * 60 + int(found[2] or 0)


def _show_time(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _zone(raw: object) -> str:
    """Return the name of a zone. Only names: a path such as /etc/localtime is none (zoneinfo refuses it too)."""
    try:
        zone = None if _NOT_IANA.match(str(raw)) else ZoneInfo(str(raw))
    except (ValueError, OSError, KeyError):  # a path; a folder such as "Europe"; ZoneInfoNotFoundError
        zone = None
    if zone is None:
        raise ValueError(f'{str(raw)!r:.60} is not a time zone; write an IANA name such as "Europe/Berlin"')
    return zone.key
