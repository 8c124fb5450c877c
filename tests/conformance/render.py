"""Writes ops/docs/compatibility.md from the table of deviations.

    python -m tests.conformance.render [DIR]

The counts come from the vectors in DIR; without it, the page keeps its counts. `--check` writes nothing and exits with
1 if the page is not current; it also checks the counts if DIR exists.
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
"""Courier refuses what the stock Integrator runs: an operator checks these before the switch."""

FAMILIES_IN_WORDS: Final = {
    "sregex": "whether an `event_location` pattern matches",
    "config": "the integrations read from an `ossec.conf`",
    "filters": "the blocks that match an alert, and their arguments",
    "alert_text": "the bytes of the file that a script gets",
    "deliveries": "requests, messages to the manager and outcomes",
    "tail": "the lines delivered from a growing, rotated or emptied log",
}

HEAD: Final = """# Compatibility with the stock Integrator

<!-- Written by `python -m tests.conformance.render` from tests/conformance/deviations.toml. -->

Courier reads the manager's own `ossec.conf` and `alerts.json`, runs its custom scripts unchanged and sends the same
messages as the stock integrations. If you migrate, read this page: it lists every intended difference and the reason
for it. Everything else is the same. `make conformance` proves this: it compares Courier with recordings of the stock
Integrator (4.14.7).

Before you switch:

- `courier check` shows which blocks of your configuration Courier refuses, and why.
- `courier shadow`, beside the running Integrator, shows what Courier would send.
- `courier render` shows one message in full.

## What is the same

- the configuration: elements, defaults, limits, and how unusual texts are read, including blanks and comments
- the filters: their order, AND and OR, groups (compared whole and untrimmed), the pattern language of `event_location`
- scripts: arguments by position, working directory, empty standard input, the text form of the alert file
- the messages of slack, pagerduty and shuffle, the look-ups of virustotal and maltiverse, and their events

## Counts

`make conformance` compares these recorded cases. *Same* cases have equal results. Each of the *deviations* has one of
the differences below; the last column names them. No case may be *different* for any other reason.

"""


def render(counts: str) -> str:
    """Return the page with these lines of counts."""
    stricter = [one for one in DEVIATIONS if one.id in STRICTER]
    other = [one for one in DEVIATIONS if one.id not in STRICTER]
    tables = [
        "## What Courier refuses\n\nCheck these before you switch.\n\n",
        *_table(stricter),
        "\n## Other intended differences\n\n",
        *_table(other),
        "\nD1 to D20 come from the design. The comparison found C1 and the following ones.\n",
    ]
    return f"{HEAD}{START}{counts}{END}\n{''.join(tables)}"


def _table(rows: Iterable[Deviation]) -> list[str]:
    head = "| | stock Integrator | Courier | why | what you notice |\n|---|---|---|---|---|\n"
    lines = [
        "| " + " | ".join(map(_cell, (one.id, one.stock, one.courier, one.reason, one.seen))) + " |\n" for one in rows
    ]
    return [head, *lines]


def _cell(text: str) -> str:
    """Return a text as Markdown, with `<` escaped outside of code and `|` everywhere."""
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
    """Return the lines of counts of a page."""
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
