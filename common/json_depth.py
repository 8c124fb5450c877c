"""The maximum nesting depth of JSON, for all code that reads or writes JSON.

The decoders recurse in C or in Python, and their maximum depth depends on the version of Python: about 900 levels in
3.11, ten times as many in 3.13. So this module checks the depth first, and raises the recursion limit to fit it.
"""

from __future__ import annotations

import sys
from itertools import accumulate
from typing import Final

MAX_DEPTH: Final = 1000
"""Maximum levels of arrays and objects; the stock Integrator drops a line with more (spec 2.4)."""

_FRAMES_PER_LEVEL: Final = 4
"""Frames that `common.exact_json` needs on Python 3.11, where a comprehension has a frame; with reserve."""

_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))

sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES_PER_LEVEL * MAX_DEPTH + 1000))


def check_depth(text: str | bytes) -> None:
    """Raise ValueError if a JSON text nests more than MAX_DEPTH levels.

    Takes 0.2 us for an alert with fewer than 1,000 brackets, as nearly all have, else 50 ns for each bracket. A text
    that is not JSON may pass or not.
    """
    if len(text) > MAX_DEPTH and _opening_brackets(text) > MAX_DEPTH and _exceeds_max_depth(text):
        raise ValueError("it is nested too deeply")


def _opening_brackets(text: str | bytes) -> int:
    return text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")


def _exceeds_max_depth(text: str | bytes) -> bool:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    # Without escapes, every second piece between quotes is inside a string.
    outside_strings = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    steps = memoryview(outside_strings.translate(_STEPS, _NO_BRACKETS)).cast("b")  # signed: 0xff is -1
    return next(filter(MAX_DEPTH.__lt__, accumulate(steps)), 0) > 0
