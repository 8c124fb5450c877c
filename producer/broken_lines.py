"""Finds whole alerts on a line that is not a valid alert itself.

A manager that crashes while writing leaves a partial line, or a line without its line end, and continues behind it
after a restart. So a line can hold a partial alert and then one or more whole ones. A part of an alert, which can hold
text from an attacker, must never be taken for an alert, so the outer brace must be certain. It is certain at the start
of the line and directly behind a whole alert. Elsewhere an object counts only if neither a comma nor a bracket follows
it, because one of them follows every object inside an alert.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from common import lenient_json

if TYPE_CHECKING:
    from producer.source import Line

MAX_TRIED: Final = 256
"""At most this many braces of a line are tried, the last ones: each try costs up to the length of the line."""

_ALERT: Final = re.compile(r'\{"timestamp"')
_OBJECT: Final = re.compile(r'\{[\x00-\x20]*"')
_FOLLOWERS: Final = (",", "]", "}")
"""One of these follows each value inside an object or a list (RFC 8259, 4 and 5)."""

_BLANK: Final = re.compile(r"[\x00-\x20]*")


def recover_alerts(line: Line) -> list[Line]:
    """Return the whole alerts on a line, each as a line of its own."""
    return [line.slice(start, end) for start, end in alert_spans(line.raw)]


def alert_spans(raw: bytes) -> list[tuple[int, int]]:
    """Return start and end of each whole alert on a line; white space at the end of the line belongs to the last."""
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
    """Return the end of the alert that begins at `start`; 0 if no alert begins there."""
    try:
        fields, brace = lenient_json.value_offsets(text, start)
    except ValueError:
        return 0
    return brace + 1 if "rule" in fields else 0


def _blank(text: str, at: int) -> int:
    """Return the end of the white space at `at`."""
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
