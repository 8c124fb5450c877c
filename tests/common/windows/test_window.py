"""Windows against a naive evaluator, which looks at the clock of the zone each minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.windows import MAX_PERIOD, Span, Window, parse_window

MINUTE, DAY = timedelta(minutes=1), 1440
WEEKS = (  # the zone, and a day before a change of its clocks
    ("Europe/Berlin", date(2026, 3, 28)),
    ("Europe/Berlin", date(2026, 10, 24)),
    ("America/New_York", date(2026, 3, 7)),
    ("America/New_York", date(2026, 10, 31)),
    ("Australia/Lord_Howe", date(2026, 4, 4)),  # half an hour
    ("Australia/Lord_Howe", date(2026, 10, 3)),
    ("America/Havana", date(2026, 3, 7)),  # at midnight
    ("America/Havana", date(2026, 10, 31)),
    ("Africa/Cairo", date(2026, 4, 23)),
    ("Pacific/Apia", date(2011, 12, 29)),  # skips a whole day
    ("Asia/Kolkata", date(2026, 6, 1)),
    ("UTC", date(2026, 6, 1)),
)


class Naive:
    """What the clock of a zone shows at each minute of some days: minutes since the first day of the calendar."""

    def __init__(self, zone: str, first: date, days: int) -> None:
        self.begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
        clocks = (self.moment(n).astimezone(ZoneInfo(zone)) for n in range(days * DAY))
        self.shown = [one.toordinal() * DAY + one.hour * 60 + one.minute for one in clocks]

    def moment(self, number: int) -> datetime:
        return self.begin + number * MINUTE

    def members(self, span: Span) -> set[int]:
        """Return the minutes in a span: from the first that shows its begin or later, to the last before its end."""
        found: set[int] = set()
        for day in range(self.shown[0] // DAY - 1, self.shown[-1] // DAY + 1):
            if date.fromordinal(day).weekday() in span.days:
                begin, end = day * DAY + span.from_min, day * DAY + span.to_min
                end += DAY if end <= begin else 0
                first = next((n for n, shown in enumerate(self.shown) if shown >= begin), len(self.shown))
                after = next((n for n in range(len(self.shown), 0, -1) if self.shown[n - 1] < end), 0)
                found.update(range(first, after))
        return found


clock_of = cache(Naive)
minute = st.one_of(st.integers(0, 1439), st.sampled_from([0, 60, 90, 120, 150, 179, 180, 1320, 1439]))
days = st.sets(st.integers(0, 6), min_size=1).map(lambda found: tuple(sorted(found)))


@settings(max_examples=2 * settings().max_examples)
@given(
    place=st.sampled_from(WEEKS),
    drawn=st.lists(st.tuples(days, minute, minute), min_size=1, max_size=3),
    picked=st.lists(st.integers(2 * DAY, 5 * DAY), max_size=10),
)
@example(place=("America/Havana", date(2026, 10, 31)), drawn=[((5,), 9, 0)], picked=[])
@example(place=("Europe/Berlin", date(2026, 10, 24)), drawn=[((5,), 1320, 120)], picked=[])
def test_agrees_with_the_clock_of_each_minute(
    place: tuple[str, date], drawn: list[tuple[tuple[int, ...], int, int]], picked: list[int]
) -> None:
    zone, day = place
    window = Window(tuple(Span(*one, zone) for one in drawn))
    naive = clock_of(zone, day - timedelta(days=3), 9)
    members = set[int]().union(*map(naive.members, window.spans))
    edges = [n for n in range(2 * DAY, 5 * DAY) if (n in members) != (n - 1 in members)]
    last = 7 * DAY  # what begins in the last days ends after them
    for number in {*picked, *edges, *(one - 1 for one in edges)}:
        moment = naive.moment(number)
        assert window.contains(moment) == (number in members)
        end = next((n for n in range(number, last) if n not in members), None)
        begin = next((n for n in range(number, last) if n in members), None)
        assert end is None or window.end_after(moment) == naive.moment(end)
        assert begin is None or window.next_begin(moment) == naive.moment(begin)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


NIGHT = {"from": "22:00", "to": "06:00", "zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("raw", "moment", "end"),
    [
        (NIGHT, "2026-06-01T21:00+02:00", "2026-06-01T21:00+02:00"),
        (NIGHT, "2026-06-01T22:00+02:00", "2026-06-02T06:00+02:00"),
        (NIGHT, "2026-06-02T06:00+02:00", "2026-06-02T06:00+02:00"),
        (NIGHT, "2026-03-28T23:00+01:00", "2026-03-29T06:00+02:00"),  # seven hours
        (NIGHT, "2026-10-24T23:00+02:00", "2026-10-25T06:00+01:00"),  # nine
        # It belongs to the day on which it begins: friday's goes on until saturday, and saturday has none.
        (NIGHT | {"days": "mon-fri"}, "2026-06-06T05:00+02:00", "2026-06-06T06:00+02:00"),
        (NIGHT | {"days": "mon-fri"}, "2026-06-06T23:00+02:00", "2026-06-06T23:00+02:00"),
        # A skipped time is the moment of the change, and a repeated one ends when it is last shown.
        (NIGHT | {"to": "02:30"}, "2026-03-29T01:59+01:00", "2026-03-29T03:00+02:00"),
        (NIGHT | {"to": "02:30"}, "2026-10-25T02:45+02:00", "2026-10-25T02:30+01:00"),
        (NIGHT | {"from": "02:30"}, "2026-03-29T03:00+02:00", "2026-03-29T06:00+02:00"),
        ({"days": "sat-sun"}, "2026-06-06T12:00Z", "2026-06-08T00:00Z"),  # two whole days that touch
        ({"days": "sun", "from": "18:00", "to": "18:00"}, "2026-06-07T19:00Z", "2026-06-08T18:00Z"),
        (
            [{"from": "18:00", "to": "24:00"}, {"to": "08:00"}, {"days": "sat-sun", "from": "08:00", "to": "18:00"}],
            "2026-06-05T20:00Z",
            "2026-06-08T08:00Z",
        ),
    ],
)
def test_a_period_ends(raw: object, moment: str, end: str) -> None:
    window = parse_window(raw)
    assert window.end_after(at(moment)) == at(end)
    assert window.contains(at(moment)) == (moment != end)
    assert not window.never_ends


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"from": "05:00", "to": "05:00"},
        [{"to": "12:00"}, {"from": "12:00"}],
        [NIGHT, NIGHT | {"from": "05:00", "to": "23:00"}],
    ],
)
def test_a_window_of_the_whole_week_never_ends(raw: object) -> None:
    window, moment = parse_window(raw), at("2026-06-01T12:00Z")
    assert window.never_ends
    assert window.end_after(moment) == moment + MAX_PERIOD


def test_a_gap_that_a_clock_change_skips_is_found_a_week_later() -> None:
    raw = [{"days": "sun", "from": "03:00", "to": "24:00"}, {"days": "sun", "to": "02:00"}, {"days": "mon-sat"}]
    window = parse_window([{"zone": "Europe/Berlin"} | one for one in raw])
    assert not window.never_ends
    assert window.end_after(at("2026-03-24T12:00Z")) == at("2026-04-05T02:00+02:00")
