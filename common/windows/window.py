"""When a window begins and ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PERIOD: Final = timedelta(days=21)
"""The longest search for the end of a period. A gap of a window comes back every week, but a clock change can skip it
once, so that a period that ends at all is shorter than two weeks and a day."""

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_REFERENCE: Final = datetime(2026, 1, 12, tzinfo=UTC)
"""Where `never_ends` looks. Any three weeks do."""


class Period(NamedTuple):
    """The moments from `begin` up to, but not including, `end`; both in UTC."""

    begin: datetime
    end: datetime


class Span(msgspec.Struct, frozen=True):
    """One weekly span: days (0 is Monday), minutes since midnight from 0 to 1439, and the name of an IANA zone."""

    days: tuple[int, ...]
    from_min: int
    to_min: int
    zone: str

    def period(self, day: date) -> Period | None:
        """Return the period that begins on a local day; None if there is none."""
        if day.weekday() not in self.days:
            return None
        zone = ZoneInfo(self.zone)
        last_day = day if self.to_min > self.from_min else day + _DAY
        begin = _first_shown(_local(day, self.from_min), zone)
        end = _last_shown(_local(last_day, self.to_min), zone)
        return Period(begin, end) if begin < end else None  # a clock change can skip all of it

    def periods(self, moment: datetime, days_ahead: int) -> Iterator[Period]:
        """Yield the periods that contain `moment` or begin up to `days_ahead` days later, and perhaps some around."""
        today = moment.astimezone(ZoneInfo(self.zone)).date()
        for number in range(-2, days_ahead + 2):  # a period lasts into the next day, a repeated hour perhaps longer
            if period := self.period(today + number * _DAY):
                yield period


class Window(msgspec.Struct, frozen=True):
    """A named window: the union of its spans. Moments have a zone; results are in UTC."""

    spans: tuple[Span, ...]

    def contains(self, moment: datetime) -> bool:
        """Return whether `moment` is in the window."""
        return any(one.begin <= moment < one.end for span in self.spans for one in span.periods(moment, 0))

    def end_after(self, moment: datetime) -> datetime:
        """Return the end of the period that contains `moment`, `moment` itself if none does.

        Spans that touch or overlap are one period. The result is at most MAX_PERIOD after `moment`.
        """
        end, limit = moment.astimezone(UTC), moment.astimezone(UTC) + MAX_PERIOD
        while end < limit:
            ends = [one.end for span in self.spans for one in span.periods(end, 0) if one.begin <= end < one.end]
            if not ends:
                return end
            end = max(ends)
        return limit

    def next_begin(self, moment: datetime) -> datetime:
        """Return when the window next contains a moment from `moment` on: `moment` itself if it does."""
        if self.contains(moment):
            return moment.astimezone(UTC)
        days = MAX_PERIOD.days
        begins = [one.begin for span in self.spans for one in span.periods(moment, days) if one.begin > moment]
        return min(begins, default=moment.astimezone(UTC) + MAX_PERIOD)

    @property
    def never_ends(self) -> bool:
        """Whether the window covers the whole week."""
        return self.end_after(_REFERENCE) - _REFERENCE >= MAX_PERIOD


def _local(day: date, minute: int) -> datetime:
    return datetime.combine(day, time(minute // 60, minute % 60))


def _first_shown(local: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clock first shows a local time, or a later one if it skips that."""
    return min(_moments(local, zone)) if _exists(local, zone) else _jump(local, zone)


def _last_shown(local: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clock last reaches a local time, or first a later one if it skips that."""
    if not _exists(local, zone):
        return _jump(local, zone)
    first, last = sorted(_moments(local, zone))
    # From 02:59 back to 02:00 the clock does not reach 02:00 again: what ends at 02:00 has ended an hour before.
    is_reached = (last - _MINUTE).astimezone(zone).replace(tzinfo=None) < local
    return last if is_reached else first


def _moments(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return both readings of a local time, which are equal unless clocks change around it (PEP 495)."""
    before, after = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


def _exists(local: datetime, zone: ZoneInfo) -> bool:
    return any(one.astimezone(zone).replace(tzinfo=None, fold=0) == local for one in _moments(local, zone))


def _jump(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment at which the clock skips `local`: the first minute at which it shows a later time."""
    low, high = sorted(_moments(local, zone))
    low_min, high_min = 0, round((high - low) / _MINUTE)
    while low_min < high_min:
        middle = (low_min + high_min) // 2
        if (low + middle * _MINUTE).astimezone(zone).replace(tzinfo=None) < local:
            low_min = middle + 1
        else:
            high_min = middle
    return low + low_min * _MINUTE
