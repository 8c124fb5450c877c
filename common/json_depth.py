"""The one limit of how deeply JSON may nest, for everything that reads or writes it.

The decoders recurse in C or in Python, and where that ends differs from one Python to the next: at some 900 levels in
3.11, at ten times that in 3.13. So the depth is counted before they begin, and they are given the room for it.
"""

from __future__ import annotations

import sys
from itertools import accumulate
from typing import Final

MAX_DEPTH: Final = 1000
"""Levels of arrays and objects; the stock Integrator drops a line with more (spec 2.4)."""

_FRAMES_PER_LEVEL: Final = 4
"""Of the writer (`workers.alert.exact_json`) on Python 3.11, where a comprehension has a frame; with some to spare."""

_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))

sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES_PER_LEVEL * MAX_DEPTH + 1000))


def check_depth(text: str | bytes) -> None:
    """Raise ValueError if a JSON text nests more than DEEPEST levels.

    Costs 0.2 us for an alert, since few have a thousand brackets, and 50 ns for each bracket where they do. A text that
    is no JSON may pass or not.
    """
    if len(text) > MAX_DEPTH and _brackets(text) > MAX_DEPTH and _exceeds_max_depth(text):
        raise ValueError("it is nested too deeply")


def _brackets(text: str | bytes) -> int:
    return text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")


def _exceeds_max_depth(text: str | bytes) -> bool:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    outside_strings = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    steps = memoryview(outside_strings.translate(_STEPS, _NO_BRACKETS)).cast("b")  # signed: up 1, down -1
    return next(filter(MAX_DEPTH.__lt__, accumulate(steps)), 0) > 0
