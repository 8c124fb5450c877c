"""Writes ops/docs/compatibility.md from the table of deviations.

    python -m tests.conformance.render [DIR]

The counts come from the vectors in DIR; without it, those that the page has stay. `--check` writes nothing and exits
with 1 if the page is not current, counts included where DIR is there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ops.docs
from tests.conformance.deviations import DEVIATIONS
from tests.conformance.harness import FAMILIES, run_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.conformance.deviations import Deviation
    from tests.conformance.harness import Tally

PAGE: Final = Path(ops.docs.__file__).with_name("compatibility.md")
DEFAULT_VECTORS: Final = Path("../shared/conformance")

START, END = "<!-- counts -->\n", "<!-- end of counts -->\n"
STRICTER: Final = {"D6", "D7", "D13", "C2", "C3", "C7", "C15", "C18", "C24", "C27"}
"""Where Courier refuses what the stock Integrator runs: what to look at before the switch."""

FAMILIES_IN_WORDS: Final = {
    "sregex": "does an `event_location` pattern match",
    "config": "what an `ossec.conf` is read as",
    "filters": "which blocks an alert fires, and with what arguments",
    "alert_text": "the bytes of the file that a script is given",
    "deliveries": "requests, messages to the manager and outcomes",
    "tail": "which lines of a growing, rotated or emptied log arrive",
}

HEAD: Final = """# Compatible with the stock Integrator, and on purpose not

<!-- Written by `python -m tests.conformance.render` from tests/conformance/deviations.toml. -->

Courier reads the manager's own `ossec.conf` and `alerts.json`, runs its custom scripts unchanged and sends what the
stock integrations send. This page is for who migrates: it lists everything that differs, and why. What is not listed is
the same, and proved by comparison with what the stock Integrator (4.14.7) was recorded to do: `make conformance`.

Before the switch: `courier check` says what of your configuration is refused, `courier shadow` beside the running
Integrator says what would be sent, and `courier render` shows one message in full.

## The same

- the configuration: elements, defaults, bounds, and how odd texts are read, down to blanks and comments
- the filters: order, AND and OR, whole and untrimmed groups, the pattern language of `event_location`
- a script's arguments by position, its working directory, its empty standard input, the text form of its alert file
- the messages of slack, pagerduty and shuffle, the look-ups of virustotal and maltiverse, and their events

## Counts

"""


def render(counts: str) -> str:
    """Return the whole page around the lines of counts."""
    stricter = [one for one in DEVIATIONS if one.id in STRICTER]
    other = [one for one in DEVIATIONS if one.id not in STRICTER]
    tables = [
        "## Stricter: what is refused\n\nLook at these before the switch.\n\n",
        *_table(stricter),
        "\n## Other differences on purpose\n\n",
        *_table(other),
        "\nD1 to D20 are the design's; C1 and on were found by comparing.\n",
    ]
    return f"{HEAD}{START}{counts}{END}\n{''.join(tables)}"


def _table(rows: Iterable[Deviation]) -> list[str]:
    head = "| | stock Integrator | Courier | why | what you see |\n|---|---|---|---|---|\n"
    lines = [
        "| " + " | ".join(map(_cell, (one.id, one.stock, one.courier, one.reason, one.seen))) + " |\n" for one in rows
    ]
    return [head, *lines]


def _cell(text: str) -> str:
    """Return a text as Markdown: what looks like a tag outside of code is text."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts).replace("|", "\\|")


def count(tallies: Mapping[str, Tally]) -> str:
    """Return the table of counts, and how often each deviation explains a case."""
    lines = [
        "| family | compared | cases | same | deviations | different | explained by |\n|---|---|---|---|---|---|---|\n"
    ]
    for name in FAMILIES:
        if name in tallies:
            tally = tallies[name]
            explained = ", ".join(
                f"{one.id} {tally.deviations[one.id]}" for one in DEVIATIONS if tally.deviations[one.id]
            )
            numbers = (tally.total, tally.same, tally.deviations.total(), len(tally.different))
            cells = (name, FAMILIES_IN_WORDS[name], *map(str, numbers), explained)
            lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def counts_of(page: str) -> str:
    """Return the lines of counts that a page has."""
    return page.partition(START)[2].partition(END)[0]


def main(arguments: Sequence[str]) -> int:
    """Write or check the page; return the exit status."""
    directory = next((Path(one) for one in arguments if one != "--check"), DEFAULT_VECTORS)
    before = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    page = render(count(run_all(directory)) if directory.is_dir() else counts_of(before))
    if "--check" not in arguments:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if page != before:
        print(f"{PAGE.name} is not current; run: python -m tests.conformance.render", file=sys.stderr)
    return int(page != before)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
