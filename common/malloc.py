"""Tunes the memory allocator of the C library for Python. Does nothing where the library lacks the functions."""

from __future__ import annotations

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8
"""The value of M_ARENA_MAX in glibc's malloc.h."""


def trim() -> None:
    """Return free memory to the system, such as that of imports: 12 MB of the 69 MB of a producer (malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def limit_arenas() -> None:
    """Limit malloc to one arena for all threads (mallopt(3)). Call it before the first thread starts.

    By default there are up to 8 arenas for each core, and each fragments separately. One is enough, because only one
    Python thread allocates at a time.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option:
        option(_M_ARENA_MAX, 1)
