"""The demo's output in the terminal: a line for each message as it arrives, and a table at the end.

Output to a terminal is coloured; elsewhere it is plain lines. The texts come from alerts: rich markup in them is not
interpreted, and unprintable characters are escaped.
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
from ops.admin.terminal import Column, ColumnKind, truncate
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
"""The width of a line in columns if the output is not a terminal."""

LISTED: Final = 10
"""The number of differences listed of each kind; the others are only counted."""

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
    """Return the line for one message, cut to `width` columns if given.

    `latency_s` is the time since its alert was written, None if unknown. `stands_in` means that the demo's script sent
    it in place of the user's.
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


def column(text: str, width: int) -> str:
    """Return `text` on one line, printable, in exactly `width` columns of the terminal."""
    return set_cell_size(truncate(text.strip(), width), width)


def summary_row(name: str, read: int, status: Status, seconds: float | None) -> Row:
    """Return an integration's line of the summary from its status in the ledger."""
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


def total_row(rows: Sequence[Row], read: int) -> Row:
    """Return the last line: the lines read, and the sums of the other columns."""
    return Row(
        name="total",
        read=read,
        matched=sum(row.matched for row in rows),
        delivered=sum(row.delivered for row in rows),
        skipped=sum(row.skipped for row in rows),
        retried=sum(row.retried for row in rows),
        dead=sum(row.dead for row in rows),
        seconds=max((row.seconds for row in rows if row.seconds is not None), default=None),
    )


def table(rows: Sequence[Row], total: Row, width: int) -> list[Text]:
    """Return the summary: a title, the column names, one line for each row, a rule and the total."""
    titles, *lines = terminal.lines(COLUMNS, [_cells(row) for row in (*rows, total)], width)
    styled = [Text(text, _dead_style(row)) for text, row in zip(lines, rows, strict=False)]
    rule = Text("─" * max(map(cell_len, (titles, *lines))), "dim")
    return [Text("Results", "bold"), Text(titles, "bold"), *styled, rule, Text(lines[-1], "bold")]


class Show:
    """Writes the demo's output. `console` knows whether the output is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self.stand_ins: frozenset[str] = frozenset()
        """The integrations whose script is replaced by the demo's."""
        if not self._console.is_terminal:
            self._console.width = PLAIN_WIDTH

    def say(self, text: str, style: str = "") -> None:
        """Write one line of text."""
        self._console.print(Text(printable(text), style))

    def places(self, places: Mapping[str, str]) -> None:
        """Write one line for each name and its URL or path."""
        for name, place in places.items():
            self._console.print(Text.assemble((f"  {name:10}", "dim"), (place, "bold")))

    def arrival(self, message: Message, latency_s: float | None) -> None:
        """Write the line for one message that arrived."""
        width = self._console.width if self._console.is_terminal else None
        self._console.print(line(message, latency_s, width, stands_in=message.integration in self.stand_ins))

    def summary(self, rows: Sequence[Row], read: int) -> None:
        """Write the table of results."""
        self._console.print()
        for text in table(rows, total_row(rows, read), self._console.width):
            self._console.print(text)

    def differences(self, comparison: Comparison) -> None:
        """List the missing, the unexpected and the repeated messages."""
        self._list("missing", comparison.missing, "bold red")
        self._list("not expected", comparison.unexpected, "yellow")
        self._list("more than once", comparison.repeated, "yellow")

    def numbers(self, *, delivered: int, on_page: int, refused: int) -> None:
        """Explain why the numbers of the table and the page differ."""
        self.say(f"delivered {delivered}: successful deliveries; one may send several messages,")
        self.say("  or none if an earlier look-up is cached")
        self.say(f"on the page {on_page}: messages that the demo's services received, including")
        self.say(f"  the {refused} that they refused on purpose and that Courier retried")

    def verdict(self, *, arrived: int, of: int, noun: str) -> None:
        """Write the last line: how many of the expected messages or deliveries arrived."""
        self.say(f"{arrived} of {of} {noun} arrived", "bold green" if arrived == of else "bold red")

    def _list(self, title: str, arrivals: Sequence[Arrival], style: str) -> None:
        for arrival in arrivals[:LISTED]:
            self.say(f"{title}: {arrival.integration}: {truncate(arrival.identity.strip(), 100)}", style)
        if len(arrivals) > LISTED:
            self.say(f"{title}: {len(arrivals) - LISTED} more", style)


def _outcome(message: Message) -> tuple[str, str, str]:
    if message.service == "manager":
        return ("▸", "bright_blue", message.note or "event") if message.accepted else ("✗", "red", "unreadable")
    if message.accepted:
        return "✓", "green", f"ok, {message.status}"
    if message.status == NOT_FOUND:
        return "✓", "dim", "unknown, 404"
    return "↻", "yellow", f"failed: {message.note or message.status}"


def _cells(row: Row) -> list[str]:
    counts = (row.matched, row.delivered, row.skipped, row.retried, row.dead)
    seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
    read = "" if row.read is None else f"{row.read:,}"
    return [row.name, read, *(f"{number:,}" for number in counts), seconds]


def _dead_style(row: Row) -> str:
    return "red" if row.dead else ""
