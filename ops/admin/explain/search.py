"""Finds an alert by its own id, near the time that the id holds.

The manager writes `id` as `SECONDS.OFFSET`, and the seconds are those of the alert's `timestamp` (spec 2.1). A source
finds a time by bisection in a plain file, so a search reads a few MB however large the log is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from common.timestamps import written_at_s
from ops.admin.explain.subject import ALERT_ID, id_of
from ops.admin.times import last_written_s
from producer.broken_lines import recover_alerts
from producer.filters.decode import InvalidAlert, decode_alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from producer.source import Line, Source

MAX_LOSSES: Final = 3
"""Missing parts of the log that the text about a missing alert names."""

WINDOW_S: Final = 60.0
"""Lines are nearly in order of their times: the manager writes them with several threads and once a second. The search
begins this much before the id's time and ends this much after it, as the search for a time does (seek.py)."""

READ_BYTES: Final = 1024 * 1024

MAX_BEHIND_BYTES: Final = 8 * 1024 * 1024
"""How far behind the first line with an id others are searched: in a flood, a minute can have gigabytes."""


class Missing(NamedTuple):
    """Where an alert was searched and not found, for a person."""

    where: str


class _MayBeIt(Exception):  # noqa: N818 — a signal for `Lines.prefilter`, not an error
    """Raised for a line that contains the id."""


def is_alert_id(text: str) -> bool:
    """Return whether a text has the form of an alert's own id."""
    return bool(ALERT_ID.fullmatch(text))


def find_alert(source: Source, alert_id: str, log: str) -> tuple[Line, ...] | Missing:
    """Return the lines, or parts of damaged lines, whose alerts have this id. `log` names the log in errors.

    Nearly always there is one. A manager can give an id twice, as when its log begins again within a second.
    Raises ValueError if the text is not an id.
    """
    seconds = ALERT_ID.fullmatch(alert_id)
    if not seconds:
        raise ValueError(f"{alert_id!r} is not the id of an alert")
    moment_s = float(seconds[1])
    start, stop = (_moment(one) for one in (moment_s - WINDOW_S, moment_s + WINDOW_S))
    cursor, searched, lost = source.at(start), 0, list[str]()
    found: list[Line] = []
    left = MAX_BEHIND_BYTES
    while left > 0:
        batch = source.read(cursor, READ_BYTES)
        number, candidates = batch.lines.prefilter(_test_for(alert_id), (_MayBeIt,))
        searched += number
        for line in candidates:
            found += [one for one in _alerts(line) if id_of(one.raw) == alert_id]
        left -= READ_BYTES if found else 0
        lost += [one.detail for one in batch.skipped]
        cursor = batch.cursor
        if batch.at_end or (last_written_s(batch) or 0.0) > stop.timestamp():
            break
    if found:
        return tuple(found)
    where = f"{_text(start)} to {_text(stop)} of {log} and its dated files"
    searched_text = f"it is not among the {searched:,} lines from {where}" if searched else _nothing_in(source, where)
    return Missing("; ".join([searched_text, *lost[:MAX_LOSSES]]))


def _test_for(alert_id: str) -> Callable[[bytes], object]:
    needle = alert_id.encode()

    def reject(raw: bytes) -> None:
        if needle in raw:
            raise _MayBeIt

    return reject


def _alerts(line: Line) -> Iterator[Line]:
    """Yield the line, or the whole alerts in a damaged one, as the producer reads them."""
    try:
        decode_alert(line.raw)
    except InvalidAlert:
        yield from recover_alerts(line)
    else:
        yield line


def _moment(time_s: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, time_s), UTC)


def _nothing_in(source: Source, where: str) -> str:
    oldest = source.read(source.beginning(), 1).lines
    oldest_s = written_at_s(oldest[0].raw) if oldest else None
    since = f"; the oldest line is of {_text(_moment(oldest_s))}" if oldest_s else ""
    return f"there is no line from {where}{since}"


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
