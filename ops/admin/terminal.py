"""Tables and texts for a person at a terminal, and the same as plain lines where nobody watches.

Whatever is in a cell, it is made printable here. At a terminal a row is one line, however narrow it is. What a person
copies (an id) is never cut and never folded; other texts are cut with `…`; columns that are empty, and then the least
important ones, are left out.
"""

from __future__ import annotations

import shutil
import sys
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from common.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STEPS: Final = ((86_400, "d"), (3600, "h"), (60, "m"))
_GAP: Final = "  "

plain: Final = printable
"""For a text that goes to a person by another way than a table."""


class ColumnKind(Enum):
    """How a column's cells may be treated where there is little room."""

    ID = "never cut, never left out"
    NUMBER = "never cut, aligned to the right"
    TEXT = "cut with …"


class Column(NamedTuple):
    """One column. `rank` says which is left out first where there is no room: the highest; 0 never is.

    `least` is the width below which a text is left out rather than cut.
    """

    title: str
    kind: ColumnKind = ColumnKind.TEXT
    rank: int = 1
    least: int = 12


def age(seconds: float) -> str:
    """Return a duration for a person: `3.2s`, `12m`, `5h`, `2d`."""
    for step, unit in _STEPS:
        if seconds >= step:
            return f"{seconds / step:.0f}{unit}"
    return f"{max(seconds, 0):.1f}s"


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s where it is not one: `1 error`, `2 errors`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def pluralize_waiting(number: int) -> str:
    """Return how many wait: `1 waits`, `2 wait`."""
    return f"{number} wait{'s' if number == 1 else ''}"


def is_terminal() -> bool:
    """Tell whether a person reads the output."""
    return sys.stdout.isatty()


def terminal_width() -> int:
    """Return the columns of the terminal, at least 20."""
    return max(20, shutil.get_terminal_size().columns)


def truncate(text: str, width: int) -> str:
    """Return the text in at most `width` columns of the terminal, its end replaced by `…` if it is longer."""
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 — slow to import, and needed only at a terminal

    text = printable(text)
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(0, width - 1)).rstrip()}…"


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[tuple[Column, list[str]]]:
    """Return the columns that are shown in `width`, each with its title and cells, all padded to one width.

    Only where the ids alone are wider than that, the lines are longer.
    """
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 — slow to import, and needed only at a terminal

    shown = [(c, [c.title, *(printable(row[n]) for row in rows)]) for n, c in enumerate(columns)]
    shown = [(c, cells) for c, cells in shown if any(cells[1:]) or c.kind is ColumnKind.ID]
    natural = {c.title: max(map(cell_len, cells)) for c, cells in shown}

    def least(column: Column) -> int:
        return min(natural[column.title], column.least) if column.kind is ColumnKind.TEXT else natural[column.title]

    def needed() -> int:
        return sum(least(c) for c, _ in shown) + len(_GAP) * (len(shown) - 1)

    while needed() > width and any(c.rank and c.kind is not ColumnKind.ID for c, _ in shown):
        dropped = max((c for c, _ in shown if c.kind is not ColumnKind.ID), key=lambda c: c.rank)
        shown = [(c, cells) for c, cells in shown if c is not dropped]
    spare = max(0, width - needed())
    fitted = []
    for column, cells in shown:
        more = min(spare, natural[column.title] - least(column))
        spare -= more
        wide = least(column) + more
        padded = [
            cell.rjust(wide) if column.kind is ColumnKind.NUMBER else set_cell_size(truncate(cell, wide), wide)
            for cell in cells
        ]
        fitted.append((column, padded))
    return fitted


def all_fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Tell whether every column that is not empty has room in `width`."""
    fitted = fit(columns, rows, width)
    filled = [n for n, column in enumerate(columns) if column.kind is ColumnKind.ID or any(row[n] for row in rows)]
    return len(fitted) == len(filled) and sum(len(cells[0]) + len(_GAP) for _, cells in fitted) <= width + len(_GAP)


def lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the line of titles and one line for each row."""
    fitted = fit(columns, rows, width)
    return [_GAP.join(cells[n] for _, cells in fitted).rstrip() for n in range(len(rows) + 1)]


def print_table(columns: Sequence[Column | str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to the terminal; elsewhere tab-separated lines under a line of titles, always all columns."""
    every = [column if isinstance(column, Column) else Column(column) for column in columns]
    if not is_terminal():
        sys.stdout.writelines("\t".join(map(printable, row)) + "\n" for row in [[c.title for c in every], *rows])
        return
    titles, *rest = lines(every, rows, terminal_width())
    click.secho(titles, bold=True)
    for line in rest:
        click.echo(line)


def print_notes(notes: Iterable[tuple[str, str]]) -> None:
    """Write what did not fit into a table, one line each: whom it is about, and a text, cut at the terminal's edge."""
    for name, text in notes:
        about = printable(name)
        click.echo(f"{about}: {truncate(text, max(12, terminal_width() - len(about) - 2))}")
