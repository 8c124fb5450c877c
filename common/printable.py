"""Text for a terminal: what could command it, turn its line around or stay invisible is written as an escape.

An alert's author, a service and whoever may write to Redis choose text that people read in tables and logs. Every exit
to a person uses these two functions.
"""

from __future__ import annotations

import json
import re
from typing import Final
from unicodedata import category

_DOUBTFUL: Final = re.compile(r"[^ -~]")
_INVISIBLE: Final = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks without any width (Unicode, Default_Ignorable_Code_Point) that `str.isprintable` lets pass."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Return the text with every character that is not shown written as JSON writes it: `\n`, `\u202e`.

    These are controls (C0, DEL, C1), formats (direction, zero width), line and paragraph separators, surrogates,
    unassigned and private ones. All blanks of a line stay, and so do the characters in `keep`.
    """
    if text.isprintable() and (text.isascii() or not _INVISIBLE.search(text)):
        return text
    return _DOUBTFUL.sub(lambda one: one[0] if one[0] in keep or _is_shown(one[0]) else _escaped(one[0]), text)


def printable_json(text: str) -> str:
    """Return JSON text with the same characters escaped, which leaves its meaning as it is. Line ends stay."""
    return printable(text, keep="\n")  # in JSON all the others can only stand within a string (RFC 8259, 2)


def _is_shown(one: str) -> bool:
    return (one.isprintable() and not _INVISIBLE.match(one)) or category(one) == "Zs"


def _escaped(one: str) -> str:
    return "\\u007f" if one == "\x7f" else json.dumps(one)[1:-1]
