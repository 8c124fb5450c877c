"""Writes the tables of performance.md from the committed results of the benchmarks, so that page and results agree.

    python -m ops.docs.render_performance [--check]

Whoever measures anew (`make bench SAVE=1`) renders the page after it. Only what is between its two marks is written.
With `--check` nothing is written: the exit status is 1 if the page is not what the results say.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ops.bench.__main__ import RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PAGE: Final = Path(__file__).with_name("performance.md")
BEGIN: Final = "<!-- Written by `python -m ops.docs.render_performance`, down to the next mark. -->\n"
END: Final = "<!-- Written by hand again. -->\n"


def render(page: str, results: Sequence[Mapping[str, Any]]) -> str:
    """Return the page with the part between the marks written anew. Raises ValueError if a mark is missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} lacks one of the marks {BEGIN.strip()} and {END.strip()}")
    return head + begin + "\n" + "\n".join(map(_table, results)) + "\n" + end + tail


def committed(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return all committed results, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check. Return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if the page is not up to date")
    chosen = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    wanted = render(page, committed())
    if chosen.check and page != wanted:
        sys.stderr.write(f"{PAGE.name} is not what the results say: run python -m ops.docs.render_performance\n")
        return 1
    if not chosen.check:
        PAGE.write_text(wanted, encoding="utf-8")
    return 0


def _table(result: Mapping[str, Any]) -> str:
    name = result["bench"]
    command = "make soak" if name == "soak" else f"make bench-{name.replace('_', '-')}"
    head = f"### {name}\n\n`{command}`: {result['about']}.\n\n"
    return head + "| figure | median | rounds | goal | |\n|---|---:|---|---:|---|\n" + "".join(_rows(result["figures"]))


def _rows(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, one in figures.items():
        spread = f"{min(one['values']):,g} to {max(one['values']):,g}"
        yield f"| `{name}` | {one['median']:,g} | {spread} | {_goal(one)} |\n"


def _goal(one: Mapping[str, Any]) -> str:
    """Return the two cells that tell of the goal."""
    if one["goal"] is None:
        return " | " if one["better"] != "neither" else "| reference"
    more = one["better"] == "more"
    met = one["median"] >= one["goal"] if more else one["median"] <= one["goal"]
    return f"{'≥' if more else '≤'} {one['goal']:,g} | {'met' if met else '**missed**'}"


if __name__ == "__main__":
    sys.exit(main())
