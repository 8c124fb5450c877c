"""The whole alerts on a line that as a whole is none.

A manager that dies while it writes leaves half a line, or a whole one without its end, and goes on behind it when it
is started again. So a line can hold half an alert and then a whole one, or several. Which braces are those of an alert
has to be certain: a part of one, with text in it that came from a stranger, must not pass for an alert. The outer brace
is known where the line starts and where a whole alert ends. Elsewhere an object counts only if neither a comma nor a
bracket follows it, as one of them follows whatever is inside of an alert.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from common import lenient_json

if TYPE_CHECKING:
    from producer.log_lines import LogLine

MAX_TRIED: Final = 256
"""How many braces of a line are tried, the last ones: to try one costs up to the length of the line."""

_ALERT: Final = re.compile(r'\{"timestamp"')
_OBJECT: Final = re.compile(r'\{[\x00-\x20]*"')
_FOLLOWERS: Final = (",", "]", "}")
"""What follows a value inside of an object or a list (RFC 8259, 4 and 5)."""

_BLANK: Final = re.compile(r"[\x00-\x20]*")


def salvage_alerts(line: LogLine) -> list[LogLine]:
    """Return the whole alerts on a line, each as a line of its own."""
    return [line.slice(start, end) for start, end in spans(line.raw)]


def spans(raw: bytes) -> list[tuple[int, int]]:
    """Return where the whole alerts on a line begin and end; the blanks at the end of the line belong to the last."""
    text = raw.decode("latin-1")  # one character a byte, and JSON's own are ASCII
    outer, until = _blank(text, 0), 0
    found: list[tuple[int, int]] = []
    for start in sorted({outer, *_starts(text, _ALERT), *_starts(text, _OBJECT)}):
        if start < until:
            continue
        at, is_outer = start, start == outer
        while end := _end(text, at):
            until = _blank(text, end)
            if not is_outer and text.startswith(_FOLLOWERS, until):
                until = at
                break
            found.append((at, until if until == len(text) else end))
            at, is_outer = until, True
    return found


def _starts(text: str, kind: re.Pattern[str]) -> list[int]:
    return [match.start() for match in kind.finditer(text)][-MAX_TRIED:]


def _end(text: str, start: int) -> int:
    """Return where the alert that begins at `start` ends; 0 if none does."""
    try:
        fields, brace = lenient_json.value_offsets(text, start)
    except ValueError:
        return 0
    return brace + 1 if "rule" in fields else 0


def _blank(text: str, at: int) -> int:
    """Return where the blanks at `at` end."""
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
