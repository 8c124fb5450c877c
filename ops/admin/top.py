"""The content of `courier top`: rates from two samples of the counters, and one screen of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from common.ledger import BreakerState
from ops.admin import recent_history
from ops.admin.hold_reason import hold_reason, last_error, with_holds
from ops.admin.terminal import Column, ColumnKind, age, lines, truncate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    from common.ledger import Status
    from ops.admin.recent_history import RecentHistory

COLUMNS: Final = (
    Column("Integration", ColumnKind.ID),
    Column("In/s", ColumnKind.NUMBER, rank=3),
    Column("Out/s", ColumnKind.NUMBER, rank=2),
    Column("Retry/s", ColumnKind.NUMBER, rank=6),
    Column("Waiting", ColumnKind.NUMBER, rank=0),
    Column("Released", ColumnKind.NUMBER, rank=7),
    Column("Dead", ColumnKind.NUMBER, rank=0),
    Column("Oldest", ColumnKind.NUMBER, rank=4),
    Column("Held back", rank=5),
    Column("Last error", rank=8),
)

SCREEN_COLUMNS: Final = (*COLUMNS[:-1], *recent_history.COLUMNS, Column("Noisiest rule", rank=12))
"""On a screen the last errors go below the table, where there is more room. The last columns are those of the last
deliveries in the history."""

SORTS: Final = {"i": "Integration", "w": "Waiting", "d": "Dead", "o": "Oldest", "t": "Out/s", "r": "Retry/s"}
"""Key → the column to sort by, largest first; ids are sorted in ascending order."""

HELP: Final = "q quit · ↑ ↓ PgUp PgDn scroll · i w d o t r sort"


class Rate(NamedTuple):
    """Deliveries per second: committed, completed (delivered or skipped), and scheduled for a retry."""

    arrived: float = 0.0
    completed: float = 0.0
    retried: float = 0.0


class Rates:
    """The rates between the last two samples."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, Rate]] = {}
        self._rates: dict[str, Rate] = {}

    def update(self, statuses: Mapping[str, Status], now_ms: int) -> None:
        """Add a sample, taken at the ledger's time `now_ms`."""
        for integration_id, status in statuses.items():
            totals = status.totals
            completed = totals.get("delivered", 0) + totals.get("skipped", 0)
            now = Rate(totals.get("committed", 0), completed, totals.get("retried", 0))
            then_ms, then = self._seen.get(integration_id, (now_ms, now))
            seconds = (now_ms - then_ms) / 1000
            if seconds > 0:
                self._rates[integration_id] = Rate(*(max(0, b - a) / seconds for a, b in zip(then, now, strict=True)))
            self._seen[integration_id] = (now_ms, now)

    def of(self, integration_id: str) -> Rate:
        """Return the rates of one integration; zero before its second sample."""
        return self._rates.get(integration_id, Rate())


class TopLine(NamedTuple):
    """One sample of an integration: its label, status and rates, and what its last deliveries say, None if unread."""

    label: str
    status: Status
    rate: Rate
    recent: RecentHistory | None = None


def cells(line: TopLine, now_ms: int) -> tuple[str, ...]:
    """Return one row of the table, in the order of COLUMNS."""
    label, status, rate, _ = line
    oldest = "" if status.oldest_age_s is None else age(status.oldest_age_s)
    counts = (status.waiting, status.released, status.dead)
    texts = (oldest, _held_back(status, now_ms), last_error(status, now_ms))
    return (label, *(f"{one:.1f}" for one in rate), *map(str, counts), *texts)


def sort_lines(found: Sequence[TopLine], by: str) -> list[TopLine]:
    """Return the lines sorted by a column of SORTS. The sort is stable: equal lines stay in the order of their ids."""
    keys = {
        "Waiting": lambda one: -one.status.waiting,
        "Dead": lambda one: -one.status.dead,
        "Oldest": lambda one: -(one.status.oldest_age_s or 0.0),
        "Out/s": lambda one: -one.rate.completed,
        "Retry/s": lambda one: -one.rate.retried,
    }
    return sorted(found, key=keys[by]) if by in keys else list(found)


class View:
    """The sort order and scroll position of the screen."""

    def __init__(self) -> None:
        self._sort = "Integration"
        self._first = 0
        self._page = 1

    def press(self, key: str) -> None:
        """Sort or scroll; ignore other keys."""
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -self._page, "page down": self._page}
        if key in SORTS:
            self._sort, self._first = SORTS[key], 0
        elif key == "home":
            self._first = 0
        elif key == "end":
            self._first = 10**9
        else:
            self._first = max(0, self._first + steps.get(key, 0))

    def draw(self, found: Sequence[TopLine], now_ms: int, width: int, height: int) -> list[Text]:
        """Return at most `height` lines of at most `width` columns: the table, notes and the help line.

        While the table needs the room, the notes take at most a quarter of the screen.
        """
        from rich.text import Text  # noqa: PLC0415 — slow to import, and needed only here

        ordered = sort_lines(found, self._sort)
        notes = [note for one in ordered for note in _notes(one, now_ms)]
        room = max(1, height - 2)  # without the header and the help line
        note_count = min(len(notes), max(height // 4, room - len(ordered) - 1))
        self._page = max(1, room - (note_count + 1 if note_count > 0 else 0))
        self._first = max(0, min(self._first, len(ordered) - self._page))
        shown = ordered[self._first : self._first + self._page]
        rows = [(*cells(one, now_ms)[:-1], *_recent_cells(one.recent, now_ms)) for one in shown]
        titles, *drawn = lines(SCREEN_COLUMNS, rows, width)
        styled = [Text(titles, "bold"), *(Text(line, _style(one)) for line, one in zip(drawn, shown, strict=True))]
        if note_count > 0:
            styled += [Text(), *(Text(truncate(note, width), "dim") for note in notes[:note_count])]
        for row in styled:
            row.no_wrap, row.overflow = True, "crop"  # a long id must not move the numbers to a second line
        last = f"{self._first + 1}-{self._first + len(shown)} of {len(ordered)} by {self._sort} · {HELP}"
        return [*styled[: height - 1], Text(truncate(last, width), "dim")]


def _recent_cells(recent: RecentHistory | None, now_ms: int) -> tuple[str, ...]:
    if recent is None:
        return ("",) * (len(recent_history.COLUMNS) + 1)
    rule = recent.noisiest_rule
    return (*recent_history.cells(recent, now_ms), f"{rule.id} {rule.description}" if rule else "")


def _held_back(status: Status, now_ms: int) -> str:
    return with_holds(hold_reason(status, now_ms), status.held, now_ms)


def _notes(line: TopLine, now_ms: int) -> list[str]:
    texts = (_held_back(line.status, now_ms), last_error(line.status, now_ms))
    return [f"{line.label}: {text}" for text in texts if text]


def _style(line: TopLine) -> str:
    if line.status.dead:
        return "red"
    return "yellow" if line.status.paused_ms or line.status.breaker is not BreakerState.CLOSED else ""
