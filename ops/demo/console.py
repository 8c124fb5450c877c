"""What a person sees of the demo in the terminal: a line for every message as it arrives, and a table at the end.

At a terminal it has colours; elsewhere there are plain lines, one a message, which a log can keep. What is shown came
from alerts: rich markup in it means nothing, and what a terminal does not show is escaped.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from common.integration import MANAGER_ID
from common.printable import printable
from ops.admin import terminal
from ops.admin.terminal import Column, ColumnKind
from ops.demo.expect import NOT_FOUND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common.ledger import Status
    from ops.demo.expect import Arrival, Comparison
    from ops.demo.messages import Message

TITLE_WIDTH: Final = 60
LEAST_TITLE_WIDTH: Final = 12
NAME_WIDTH: Final = 18
PLAIN_WIDTH: Final = 160
"""Columns of a line that goes to a file."""

LISTED: Final = 10
"""Differences listed of each kind; the others are counted."""

COLUMNS: Final = (
    Column("integration", ColumnKind.ID),
    Column("read", ColumnKind.NUMBER, rank=4),
    Column("matched", ColumnKind.NUMBER, rank=1),
    Column("delivered", ColumnKind.NUMBER, rank=0),
    Column("skipped", ColumnKind.NUMBER, rank=2),
    Column("retried", ColumnKind.NUMBER, rank=3),
    Column("dead", ColumnKind.NUMBER, rank=0),
    Column("seconds", ColumnKind.NUMBER, rank=5),
)

_STYLES: Final = {
    "slack": "magenta",
    "pagerduty": "green",
    "virustotal": "blue",
    "shuffle": "yellow",
    "maltiverse": "red",
    "ticket": "cyan",
    "manager": "bright_blue",
}


class Row(NamedTuple):
    """One line of the summary: counts of deliveries, and seconds from the first alert to the last message.

    `read` is None for `manager`, whose deliveries do not come from the alert log.
    """

    name: str
    read: int | None
    matched: int
    delivered: int
    skipped: int
    retried: int
    dead: int
    seconds: float | None


def line(message: Message, latency_s: float | None, width: int | None = None, *, stands_in: bool = False) -> Text:
    """Return the line for one message, in `width` columns if given.

    `latency_s` is the time since its alert was written, None if not known. `stands_in` says that the demo's own
    script sent it in place of the user's.
    """
    mark, style, words = _outcome(message)
    if stands_in and message.accepted:
        mark, style, words = "▸", "cyan", f"by the demo's script, {message.status}"
    at = datetime.fromtimestamp(message.at_s).astimezone()
    latency = "" if latency_s is None else f"  {latency_s:.2f} s"
    taken = len("00:00:00.000  ") + NAME_WIDTH + len(" ✓ ") + len(" ") + cell_len(words) + len(latency)
    title_width = TITLE_WIDTH if width is None else max(LEAST_TITLE_WIDTH, min(TITLE_WIDTH, width - taken))
    text = Text.assemble(
        (f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  ", "dim"),
        (f"{column(message.integration, NAME_WIDTH)} ", _STYLES.get(message.service, "")),
        (f"{mark} ", style),
        f"{column(message.title, title_width)} ",
        (words, style),
        (latency, "dim"),
    )
    if width is not None:
        text.truncate(width, overflow="ellipsis")
    return text


def clean(text: str, width: int) -> str:
    """Return `text` on one line, printable, shortened to `width` columns of the terminal."""
    text = printable(text.strip())
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1).rstrip()}…"


def column(text: str, width: int) -> str:
    """Return the same, filled up to `width` columns."""
    return set_cell_size(clean(text, width), width)


def summary_row(name: str, read: int, status: Status, seconds: float | None) -> Row:
    """Return an integration's line of the summary from what the ledger says of it."""
    totals = status.totals
    return Row(
        name=name,
        read=None if name == MANAGER_ID else read,
        matched=totals.get("committed", 0),
        delivered=totals.get("delivered", 0),
        skipped=totals.get("skipped", 0),
        retried=totals.get("retried", 0),
        dead=status.dead,
        seconds=seconds,
    )


def in_all(rows: Sequence[Row], read: int) -> Row:
    """Return the last line: what was read, and the sums of the others."""
    return Row(
        name="in all",
        read=read,
        matched=sum(row.matched for row in rows),
        delivered=sum(row.delivered for row in rows),
        skipped=sum(row.skipped for row in rows),
        retried=sum(row.retried for row in rows),
        dead=sum(row.dead for row in rows),
        seconds=max((row.seconds for row in rows if row.seconds is not None), default=None),
    )


def table(rows: Sequence[Row], total: Row, width: int) -> list[Text]:
    """Return the summary: a title, the names of the columns, one line for each row, a rule and the total."""
    titles, *lines = terminal.lines(COLUMNS, [_cells(row) for row in (*rows, total)], width)
    styled = [Text(text, _dead_style(row)) for text, row in zip(lines, rows, strict=False)]
    rule = Text("─" * max(map(cell_len, (titles, *lines))), "dim")
    return [Text("What became of the alerts", "bold"), Text(titles, "bold"), *styled, rule, Text(lines[-1], "bold")]


class Show:
    """Writes to the terminal. `console` is rich's; it knows whether a person is there."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self.stand_ins: frozenset[str] = frozenset()
        """The integrations in whose place the demo's own script runs."""
        if not self._console.is_terminal:
            self._console.width = PLAIN_WIDTH

    def say(self, text: str, style: str = "") -> None:
        """Write a line of our own."""
        self._console.print(Text(printable(text), style))

    def places(self, places: Mapping[str, str]) -> None:
        """Write where something can be looked at: a name and an address or path each."""
        for name, place in places.items():
            self._console.print(Text.assemble((f"  {name:10}", "dim"), (place, "bold")))

    def arrival(self, message: Message, latency_s: float | None) -> None:
        """Write the line for a message."""
        width = self._console.width if self._console.is_terminal else None
        self._console.print(line(message, latency_s, width, stands_in=message.integration in self.stand_ins))

    def summary(self, rows: Sequence[Row], read: int) -> None:
        """Write the table."""
        self._console.print()
        for text in table(rows, in_all(rows, read), self._console.width):
            self._console.print(text)

    def differences(self, comparison: Comparison) -> None:
        """Write what is missing, what came unexpectedly and what came again."""
        self._list("missing", comparison.missing, "bold red")
        self._list("not expected", comparison.unexpected, "yellow")
        self._list("more than once", comparison.repeated, "yellow")

    def numbers(self, *, delivered: int, on_page: int, refused: int) -> None:
        """Write how the numbers on the screen belong together: they count different things."""
        self.say(f"delivered {delivered}: successful deliveries; one may send several messages,")
        self.say("  or none when an earlier look-up is remembered")
        self.say(f"on the page {on_page}: messages that the demo's services received, with")
        self.say(f"  the {refused} that they refused on purpose and that were sent again")

    def verdict(self, *, arrived: int, of: int, noun: str) -> None:
        """Write the last line: whether all is well."""
        self.say(f"{arrived} of {of} {noun} arrived", "bold green" if arrived == of else "bold red")

    def _list(self, title: str, arrivals: Sequence[Arrival], style: str) -> None:
        for arrival in arrivals[:LISTED]:
            self.say(f"{title}: {arrival.integration}: {clean(arrival.identity, 100)}", style)
        if len(arrivals) > LISTED:
            self.say(f"{title}: {len(arrivals) - LISTED} more", style)


def _outcome(message: Message) -> tuple[str, str, str]:
    if message.service == "manager":
        return ("▸", "bright_blue", message.note or "event") if message.accepted else ("✗", "red", "unreadable")
    if message.accepted:
        return "✓", "green", f"taken, {message.status}"
    if message.status == NOT_FOUND:
        return "✓", "dim", "not known, 404"
    return "↻", "yellow", f"trouble: {message.note or message.status}"


def _cells(row: Row) -> list[str]:
    counts = (row.matched, row.delivered, row.skipped, row.retried, row.dead)
    seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
    read = "" if row.read is None else f"{row.read:,}"
    return [row.name, read, *(f"{number:,}" for number in counts), seconds]


def _dead_style(row: Row) -> str:
    return "red" if row.dead else ""
