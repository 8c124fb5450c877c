"""The C library's memory, where its habits do not suit a Python process. What it cannot do is left out."""

from __future__ import annotations

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8
"""glibc's malloc.h."""


def trim() -> None:
    """Return to the system what imports needed for a moment: 12 MB of a producer's 69 (malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def limit_arenas() -> None:
    """Let all threads allocate in one place (mallopt(3)); to be called before there are threads.

    Each of 8 places for each core fills up with gaps of its own, and in Python only one thread allocates at a time.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option:
        option(_M_ARENA_MAX, 1)
