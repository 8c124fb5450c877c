"""Escapes characters that could control a terminal, reverse the direction of a line or stay invisible.

Authors of alerts, services, and clients that can write to Redis choose text that people read in tables and logs.
All output to people passes through these two functions.
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
"""Letters and marks without width (Unicode, Default_Ignorable_Code_Point) that `str.isprintable` accepts."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Return the text with every character that is not visible escaped as in JSON: `\n`, `\u202e`.

    These are control characters (C0, DEL, C1), format characters (direction, zero width), line and paragraph
    separators, surrogates, unassigned and private characters. Spaces and the characters in `keep` are not escaped.
    """
    if text.isprintable() and (text.isascii() or not _INVISIBLE.search(text)):
        return text
    return _DOUBTFUL.sub(lambda one: one[0] if one[0] in keep or _is_shown(one[0]) else _escaped(one[0]), text)


def printable_json(text: str) -> str:
    """Return JSON text with the same characters escaped, which does not change its meaning. Line ends are kept."""
    return printable(text, keep="\n")  # in valid JSON the others occur only in strings (RFC 8259, 2)


def _is_shown(one: str) -> bool:
    return (one.isprintable() and not _INVISIBLE.match(one)) or category(one) == "Zs"


def _escaped(one: str) -> str:
    return "\\u007f" if one == "\x7f" else json.dumps(one)[1:-1]
