"""Tables and texts for a person at a terminal, and the same as plain lines where nobody watches."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS: Final = ((86_400, "d"), (3600, "h"), (60, "m"))


def age(seconds: float) -> str:
    """Return a duration for a person: `3.2s`, `12m`, `5h`, `2d`."""
    for step, unit in _STEPS:
        if seconds >= step:
            return f"{seconds / step:.0f}{unit}"
    return f"{max(seconds, 0):.1f}s"


def plain(text: str) -> str:
    """Return a text with control characters escaped: what a service answered must not move the cursor."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"')


def is_terminal() -> bool:
    """Tell whether a person reads the output."""
    return sys.stdout.isatty()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to the terminal; elsewhere tab-separated lines under a line of titles."""
    if not is_terminal():
        sys.stdout.writelines("\t".join(row) + "\n" for row in [columns, *rows])
        return
    from rich.console import Console  # noqa: PLC0415 — slow to import, and needed only here
    from rich.table import Column, Table  # noqa: PLC0415 — as above
    from rich.text import Text  # noqa: PLC0415 — as above

    titles = [Column(title, overflow="fold") for title in columns]
    table = Table(*titles, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
