"""Memory that is free again but still counts as the process's own."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return to the system what imports needed for a moment: 12 MB of a producer's 69 (malloc_trim(3)).

    Does nothing where the C library has no such call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
