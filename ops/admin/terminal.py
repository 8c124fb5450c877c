"""Tables and texts for a terminal, and tab-separated lines for programs.

All cells are made printable here. At a terminal, each row is one line at any width. Ids are never truncated or wrapped,
so that they can be copied; other texts are truncated with `…`. Empty columns are omitted, and then the least important
ones.
"""

from __future__ import annotations

import os
import re
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
"""For text outside of a table."""


class ColumnKind(Enum):
    """What may happen to the cells of a column in a narrow terminal."""

    ID = "never truncated, never omitted"
    NUMBER = "never truncated, right-aligned"
    TEXT = "truncated with …"


class Column(NamedTuple):
    """One column. The column with the highest `rank` is omitted first in a narrow terminal; rank 0 is never omitted.

    `least` is the minimum width of a truncated text; below it, the column is omitted.
    """

    title: str
    kind: ColumnKind = ColumnKind.TEXT
    rank: int = 1
    least: int = 12


def age(seconds: float) -> str:
    """Return a duration as text: `3.2s`, `12m`, `5h`, `2d`."""
    for step, unit in _STEPS:
        if seconds >= step:
            return f"{seconds / step:.0f}{unit}"
    return f"{max(seconds, 0):.1f}s"


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, whose plural ends in -s, or in -ies for -y: `1 error`, `2 deliveries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def is_dumb() -> bool:
    """Return whether the terminal understands no escape sequences: what `rich` takes for such a terminal."""
    return os.environ.get("TERM", "").lower() in {"dumb", "unknown"}


def terminal_width() -> int:
    """Return the width of the terminal in columns, at least 20."""
    return max(20, shutil.get_terminal_size().columns)


def truncate(text: str, width: int) -> str:
    """Return the text in at most `width` terminal columns, truncated with `…` if it is longer."""
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 — slow to import, and needed only at a terminal

    text = printable(text)
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(0, width - 1)).rstrip()}…"


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[tuple[Column, list[str]]]:
    """Return the columns that fit into `width`, each with its title and cells, padded to the width of the column.

    The lines are longer than `width` only if the ids and the columns of rank 0 need more.
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
        extra = min(spare, natural[column.title] - least(column))
        spare -= extra
        cell_width = least(column) + extra
        padded = [
            cell.rjust(cell_width)
            if column.kind is ColumnKind.NUMBER
            else set_cell_size(truncate(cell, cell_width), cell_width)
            for cell in cells
        ]
        fitted.append((column, padded))
    return fitted


def all_fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Return whether all columns that are not empty fit into `width`, so that none is omitted."""
    fitted = fit(columns, rows, width)
    filled = [n for n, column in enumerate(columns) if column.kind is ColumnKind.ID or any(row[n] for row in rows)]
    return len(fitted) == len(filled) and sum(len(cells[0]) + len(_GAP) for _, cells in fitted) <= width + len(_GAP)


def lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the header line and one line per row."""
    fitted = fit(columns, rows, width)
    return [_GAP.join(cells[n] for _, cells in fitted).rstrip() for n in range(len(rows) + 1)]


def print_table(columns: Sequence[Column | str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to a terminal. Otherwise write tab-separated lines with a header and all columns."""
    every = [column if isinstance(column, Column) else Column(column) for column in columns]
    if not is_terminal():
        sys.stdout.writelines("\t".join(map(printable, row)) + "\n" for row in [[c.title for c in every], *rows])
        return
    titles, *rest = lines(every, rows, terminal_width())
    click.echo(titles if is_dumb() or os.environ.get("NO_COLOR") else click.style(titles, bold=True))
    for line in rest:
        click.echo(line)


def print_notes(notes: Iterable[tuple[str, str]]) -> None:
    """Write texts below a table, one line each: a name and a text, truncated to the width of the terminal."""
    for name, text in notes:
        label = printable(name)
        click.echo(f"{label}: {truncate(text, max(12, terminal_width() - len(label) - 2))}")


def one_line(message: str) -> str:
    """Return the message on one line, with characters escaped that a terminal does not show."""
    return printable(re.sub(r"[\t\r\n]+", " ", message))
